"use strict";
// The numbers of a view: unpacked from the page, and put together as the reader asks.
// `view.data` comes from helpers/viewer/attention_view.py, `view.state` holds what the reader chose.

const DIFFERENCE = 2; // the choice of model that means: the second minus the first
const SPECIAL = 1; // kinds of tokens, as in helpers/viewer/packing.py
const PADDING = 2;
const CUT = "⋯"; // stands where a token ends within a character, as in helpers/viewer/labels.py

function unpack(packed, Kind) {
  const characters = atob(packed);
  const bytes = new Uint8Array(characters.length);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = characters.charCodeAt(at);
  return new Kind(bytes.buffer);
}

function unpackedWeights(texts) {
  return texts.map((text) => text.weights.map((packed) => unpack(packed, Uint8Array)));
}

function unpackedVectors(texts) {
  const both = (pair) => ({
    queries: unpack(pair.queries, Int16Array),
    keys: unpack(pair.keys, Int16Array),
  });
  return texts.map((text) => text.vectors.map((pair) => pair && both(pair)));
}

function textOf(view) {
  return view.data.texts[view.state.text];
}

function weightsOfHead(view, model, layer, head) {
  const text = textOf(view);
  const size = text.queries.length * text.keys.length;
  const at = layer * view.data.heads + head;
  const bytes = view.weights[view.state.text][model].subarray(at * size, (at + 1) * size);
  const scale = text.scales[model][at] / 255;
  return new Float32Array(bytes).map((byte) => byte * scale);
}

function weightsOfLayer(view, model, layer, show) {
  const { heads } = view.data;
  const all = Array.from({ length: heads }, (_, head) => weightsOfHead(view, model, layer, head));
  const largest = (index) => all.reduce((most, one) => Math.max(most, one[index]), 0);
  const mean = (index) => all.reduce((sum, one) => sum + one[index], 0) / heads;
  return all[0].map((_, index) => (show === "max" ? largest(index) : mean(index)));
}

// Abnar and Zuidema (2020): the mean of the heads, half of it the residual connection, layer after layer.
function rollout(view, model, last) {
  const n = textOf(view).keys.length;
  let product = Float32Array.from({ length: n * n }, (_, index) => Number(index % (n + 1) === 0));
  for (let layer = 0; layer <= last; layer += 1) {
    const mean = weightsOfLayer(view, model, layer, "mean");
    const next = new Float32Array(n * n);
    for (let i = 0; i < n; i += 1) {
      const row = mean.subarray(i * n, i * n + n);
      const sum = row.reduce((a, b) => a + b, 0);
      for (let m = 0; m < n; m += 1) {
        const share = row[m] / sum / 2 + (m === i ? 0.5 : 0);
        if (share === 0) continue;
        for (let j = 0; j < n; j += 1) next[i * n + j] += share * product[m * n + j];
      }
    }
    product = next;
  }
  return product;
}

// One matrix, row after row: that of the reader's choice, unless another one is named.
function chosenWeights(view, model, { layer, head, show } = view.state) {
  if (model === DIFFERENCE) {
    const first = chosenWeights(view, 0, { layer, head, show });
    return chosenWeights(view, 1, { layer, head, show }).map((weight, index) => weight - first[index]);
  }
  if (show === "head") return weightsOfHead(view, model, layer, head);
  if (show === "rollout") return rollout(view, model, layer);
  return weightsOfLayer(view, model, layer, show);
}

// A word's label grows by its next piece. What both show of a character that is cut stands there once.
function grown(label, piece) {
  if (!piece.startsWith(CUT)) return label + piece;
  const start = label.endsWith(CUT) ? label.slice(0, -CUT.length) : label;
  return start + [...piece].slice(2).join("");
}

// The tokens that are shown on one side; with whole words, the pieces of a word as one.
function shownTokens(view, side) {
  const { part, words, special, padding } = view.state;
  const wanted = part === "all" ? null : Number(part[side === "queries" ? 0 : 1]);
  const groups = [];
  textOf(view)[side].forEach((token, index) => {
    const kept = [true, special, padding][token.kind] && (wanted === null || token.part === wanted);
    if (!kept) return;
    const isPiece = words && token.word !== null;
    const label = isPiece ? token.label.replace(/^(##|Ġ|▁)/, "") : token.label;
    const before = groups.at(-1);
    if (isPiece && before?.word === token.word && before.part === token.part) {
      before.members.push(index);
      before.label = grown(before.label, label);
    } else {
      groups.push({ ...token, label, members: [index] });
    }
  });
  return groups;
}

// Clark et al. (2019): to a word the weights of its pieces are added, from a word they are averaged.
function seenWeights(view) {
  const rows = shownTokens(view, "queries");
  const columns = shownTokens(view, "keys");
  const width = textOf(view).keys.length;
  const all = chosenWeights(view, view.state.model);
  const toWord = (i, column) => column.members.reduce((sum, j) => sum + all[i * width + j], 0);
  const fromWord = (row, column) =>
    row.members.reduce((sum, i) => sum + toWord(i, column), 0) / row.members.length;
  const values = rows.map((row) => columns.map((column) => fromWord(row, column)));
  const most = Math.max(1e-9, ...values.flat().map(Math.abs));
  return { rows, columns, values, most };
}
