// Attention of every layer and head of a text, drawn in the reader's browser from numbers in the page.
// `data` comes from helpers/attention_view.py, which says what each field holds.
function attentionView(host, data) {
  "use strict";
  const started = performance.now();
  const { layers, heads } = data;
  const DIFFERENCE = 2, SPECIAL = 1, PADDING = 2, LINES = 600, LABEL = 14, GAP = 110;
  const weights = data.texts.map((text) => text.weights.map((packed) => unpack(packed, Uint8Array)));
  const vectors = data.texts.map((text) => text.vectors.map((pair) => pair
    && { queries: unpack(pair.queries, Int16Array), keys: unpack(pair.keys, Int16Array) }));
  const state = { text: 0, model: 0, special: true, padding: true, words: false, part: "all", ...data.start };
  let focus = null, pinned = null, seen = null, paint = null, drawn = null, cell = 0;

  // ---- numbers ----
  function unpack(packed, Kind) {
    const characters = atob(packed), bytes = new Uint8Array(characters.length);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = characters.charCodeAt(at);
    return new Kind(bytes.buffer);
  }

  const text = () => data.texts[state.text];
  function ofHead(model, layer, head) {
    const size = text().queries.length * text().keys.length, at = layer * heads + head;
    const bytes = weights[state.text][model].subarray(at * size, (at + 1) * size);
    return new Float32Array(bytes).map((byte) => byte * text().scales[model][at] / 255);
  }

  function ofLayer(model, layer, show) {
    const all = Array.from({ length: heads }, (_, head) => ofHead(model, layer, head));
    return all[0].map((_, index) => show === "max"
      ? all.reduce((most, one) => Math.max(most, one[index]), 0)
      : all.reduce((sum, one) => sum + one[index], 0) / heads);
  }

  // Abnar and Zuidema (2020): the mean of the heads, half of it the residual connection, layer after layer.
  function rollout(model, last) {
    const n = text().keys.length;
    let product = Float32Array.from({ length: n * n }, (_, index) => Number(index % (n + 1) === 0));
    for (let layer = 0; layer <= last; layer += 1) {
      const mean = ofLayer(model, layer, "mean"), next = new Float32Array(n * n);
      for (let i = 0; i < n; i += 1) {
        const row = mean.subarray(i * n, i * n + n);
        const sum = row.reduce((a, b) => a + b, 0);
        for (let m = 0; m < n; m += 1) {
          const share = row[m] / sum / 2 + (m === i ? 0.5 : 0);
          if (share) for (let j = 0; j < n; j += 1) next[i * n + j] += share * product[m * n + j];
        }
      }
      product = next;
    }
    return product;
  }

  function chosen(model, layer = state.layer, head = state.head, show = state.show) {
    if (model === DIFFERENCE) {
      const first = chosen(0, layer, head, show);
      return chosen(1, layer, head, show).map((weight, index) => weight - first[index]);
    }
    if (show === "head") return ofHead(model, layer, head);
    return show === "rollout" ? rollout(model, layer) : ofLayer(model, layer, show);
  }

  // The tokens that are shown on one side; with whole words, the pieces of a word as one.
  function shown(side) {
    const part = state.part === "all" ? null : Number(state.part[side === "queries" ? 0 : 1]);
    const groups = [];
    text()[side].forEach((token, index) => {
      const kept = [true, state.special, state.padding][token.kind] && (part === null || token.part === part);
      if (!kept) return;
      const before = groups.at(-1);
      const same = state.words && token.word !== null && before?.word === token.word && before.part === token.part;
      const label = state.words && token.word !== null ? token.label.replace(/^(##|Ġ|▁)/, "") : token.label;
      if (same) { before.members.push(index); before.label += label; }
      else groups.push({ ...token, label, members: [index] });
    });
    return groups;
  }

  // Clark et al. (2019): to a word the weights of its pieces are added, from a word they are averaged.
  function view() {
    const rows = shown("queries"), columns = shown("keys"), width = text().keys.length;
    const all = chosen(state.model);
    const values = rows.map(({ members }) => columns.map((column) => members.reduce((sum, i) => sum
      + column.members.reduce((part, j) => part + all[i * width + j], 0), 0) / members.length));
    const most = Math.max(1e-9, ...values.flat().map(Math.abs));
    return { rows, columns, values, most };
  }

  const plain = (weight, digits) => weight.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
  const number = (weight) => (state.model === DIFFERENCE && weight > 0 ? "+" : "")
    + plain(weight, weight !== 0 && Math.abs(weight) < 0.0995 ? 3 : 2);

  // ---- elements and colours ----
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "g", "rect", "path", "text", "line"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== false) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // The colour behind the view says whether the page is dark, whatever shows it.
  function colours() {
    let element = host, back = null;
    while (element && !back) {
      const found = getComputedStyle(element).backgroundColor.match(/[\d.]+/g)?.map(Number);
      if (found && (found[3] ?? 1) > 0.5) back = found;
      element = element.parentElement ?? element.getRootNode().host;
    }
    back ??= matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
    const dark = back[0] * 0.3 + back[1] * 0.59 + back[2] * 0.11 < 128;
    return dark
      ? { dark, back: [24, 27, 33], more: [255, 196, 87], less: [110, 180, 255], ink: "#e8eaed", soft: "#a9b0ba" }
      : { dark, back: [255, 255, 255], more: [122, 40, 0], less: [0, 62, 133], ink: "#1b1f24", soft: "#57606a" };
  }

  function colour(share) {
    const end = share < 0 || state.model !== DIFFERENCE ? paint.less : paint.more;
    return paint.back.map((from, channel) => Math.round(from + (end[channel] - from) * Math.min(1, Math.abs(share))));
  }

  const rgb = (share) => `rgb(${colour(share).join(",")})`;
  const short = (label) => (label.length > LABEL ? `${label.slice(0, LABEL - 1)}…` : label);
  const room = (groups) => 14 + 7.4 * Math.max(2, ...groups.map((group) => short(group.label).length));

  function label(group, x, y, options = {}) {
    const style = group.kind === PADDING ? "italic" : "normal";
    const fill = group.kind ? paint.soft : paint.ink;
    return make("text", { x, y, fill, "font-size": 12, "font-style": style, ...options }, short(group.label));
  }

  // ---- the frame: controls, grid, pictures, status, table ----
  const root = host.attachShadow({ mode: "open" });
  root.innerHTML = data.frame;
  const parts = {};
  for (const element of root.querySelectorAll("[data-part]")) parts[element.dataset.part] = element;

  const tokens = data.texts.flatMap((one) => [...one.queries, ...one.keys]);
  const crossed = data.texts.some((one) => one.cross), pair = !crossed && tokens.some((token) => token.part === 1);
  const inWords = data.texts.some((one) => one.keys.some((token, index) => token.word !== null
    && token.word === one.keys[index - 1]?.word && token.part === one.keys[index - 1].part));
  const range = (length) => Array.from({ length }, (_, value) => [value, String(value)]);
  const [before, after] = data.names;
  const choices = {
    text: data.texts.map((one, index) => [index, one.name]),
    model: after === undefined ? [] : [[0, before], [1, after], [DIFFERENCE, `${after} − ${before}`]],
    show: [["head", "one head"], ["mean", "mean of the heads"], ["max", "maximum of the heads"],
      ...(crossed ? [] : [["rollout", "rollout up to the layer"]])],
    layer: range(layers), head: range(heads),
    part: pair ? [["all", "all"], ["00", "A → A"], ["01", "A → B"], ["10", "B → A"], ["11", "B → B"]] : [],
  };
  for (const [name, options] of Object.entries(choices)) {
    parts[name].append(...options.map(([value, words]) => new Option(words, value)));
    parts[name].parentElement.hidden = options.length < 2;
    parts[name].addEventListener("change", ({ target }) => {
      state[name] = typeof state[name] === "number" ? Number(target.value) : target.value;
      renew();
    });
  }
  const used = { special: tokens.some((token) => token.kind === SPECIAL), words: inWords,
    padding: tokens.some((token) => token.kind === PADDING) };
  for (const [name, wanted] of Object.entries(used)) {
    parts[name].parentElement.hidden = !wanted;
    parts[name].addEventListener("change", ({ target }) => { state[name] = target.checked; renew(); });
  }
  parts.title.textContent = parts.frame.ariaLabel = data.title;
  parts.heads.style.gridTemplate = `repeat(${layers}, 1fr) / repeat(${heads}, 1fr)`;
  parts.heads.style.aspectRatio = `${heads} / ${layers}`;
  for (let number = 0; number < layers * heads; number += 1) {
    const layer = Math.floor(number / heads), head = number % heads, name = `layer ${layer}, head ${head}`;
    const button = make("button", { type: "button", title: name, "aria-label": name });
    button.addEventListener("click", () => { Object.assign(state, { layer, head, show: "head" }); renew(); });
    parts.heads.append(button);
  }
  const listen = (name, kind, use) => parts[name].addEventListener(kind, use);
  listen("heads", "keydown", gridKey);
  listen("matrix", "pointermove", (event) => onCell(event, look));
  listen("matrix", "click", (event) => onCell(event, pin));
  listen("arcs", "keydown", arcsKey);
  for (const name of ["matrix", "arcs"]) listen(name, "pointerleave", () => look(null));
  listen("table", "toggle", fillTable);
  listen("svg", "click", () => save(new Blob([picture().markup], { type: "image/svg+xml" }), "svg"));
  listen("png", "click", savePng);

  // ---- drawing ----
  function drawGrid() {
    const rows = shown("queries").flatMap((group) => group.members);
    const columns = shown("keys").flatMap((group) => group.members);
    const high = rows.length + 1, wide = columns.length + 1, width = text().keys.length;
    const canvas = parts.canvas, pen = canvas.getContext("2d");
    Object.assign(canvas, { width: heads * wide, height: layers * high });
    const image = pen.createImageData(canvas.width, canvas.height), pixels = new Uint32Array(image.data.buffer);
    const steps = new Uint32Array(Uint8Array.from({ length: 511 * 4 }, (_, byte) =>
      [...colour((Math.floor(byte / 4) - 255) / 255), 255][byte % 4]).buffer);
    for (let at = 0; at < layers * heads; at += 1) {
      const layer = Math.floor(at / heads), head = at % heads, values = chosen(state.model, layer, head, "head");
      const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
      rows.forEach((row, i) => columns.forEach((column, j) => {
        pixels[(layer * high + i) * heads * wide + head * wide + j]
          = steps[Math.round(255 * values[row * width + column] / most) + 255];
      }));
    }
    pen.putImageData(image, 0, 0);
  }

  function markGrid() {
    [...parts.heads.querySelectorAll("button")].forEach((button, index) => {
      const here = index === state.layer * heads + state.head;
      button.tabIndex = here ? 0 : -1;
      button.setAttribute("aria-pressed", state.show === "head" && here);
      button.classList.toggle("row", state.show !== "head"
        && (state.show === "rollout" ? index < (state.layer + 1) * heads : Math.floor(index / heads) === state.layer));
    });
  }

  function sized() {
    const free = (parts.right.clientWidth || 480) - room(seen.rows) - 6;
    return Math.max(12, Math.min(30, Math.floor(free / Math.max(1, seen.columns.length))));
  }

  function drawing(name, width, height, role, caption) {
    return make("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role, "aria-label": caption,
      "font-family": "system-ui, sans-serif", "data-drawing": name });
  }

  function drawMatrix() {
    const { rows, columns, values, most } = seen, left = room(rows), top = room(columns);
    cell = sized();
    const svg = drawing("matrix", left + columns.length * cell + 4, top + rows.length * cell + 4, "img", summary());
    svg.append(...columns.map((column, j) => label(column, 0, 0,
        { transform: `translate(${left + (j + 0.5) * cell + 4} ${top - 5}) rotate(-90)` })),
      ...rows.map((row, i) => label(row, left - 5, top + (i + 0.5) * cell + 4, { "text-anchor": "end" })));
    const lines = { strong: "", weak: "", hatch: "" };
    rows.forEach((row, i) => columns.forEach((column, j) => {
      const share = values[i][j] / most, x = left + j * cell, y = top + i * cell;
      svg.append(make("rect", { x, y, width: cell - 1, height: cell - 1, fill: rgb(share) }));
      if (state.model === DIFFERENCE && Math.abs(share) > 0.2) {
        lines[Math.abs(share) > 0.55 ? "strong" : "weak"]
          += `M${x + cell / 2 - 3.5} ${y + cell / 2 - 0.5}h6${share > 0 ? "m-3 -3v6" : ""}`;
      }
      if (row.kind === PADDING || column.kind === PADDING) lines.hatch += `M${x} ${y + cell - 1}l${cell - 1} ${1 - cell}`;
    }));
    svg.append(make("path", { d: lines.hatch, stroke: paint.soft, "stroke-width": 0.8, fill: "none" }),
      make("path", { d: lines.strong, stroke: rgb(0), "stroke-width": 1.5, fill: "none" }),
      make("path", { d: lines.weak, stroke: paint.ink, "stroke-width": 1.5, fill: "none" }));
    const marks = ["rowMark", "columnMark"].map((name) => (parts[name] = make("rect",
      { fill: "none", stroke: paint.ink, "stroke-width": 1.5, visibility: "hidden" })));
    svg.append(...marks);
    Object.assign(parts, { left, top });
    parts.matrix.replaceChildren(svg);
  }

  function stroke({ i, j, value }) {
    const [from, to] = [parts.start, parts.start + GAP - 10], [y, end] = [30 + 18 * i, 30 + 18 * j];
    const middle = (from + to) / 2, share = Math.abs(value) / seen.most;
    return make("path", { d: `M${from} ${y}C${middle} ${y} ${middle} ${end} ${to} ${end}`, fill: "none",
      stroke: rgb(Math.sign(value)), "stroke-width": (0.4 + 3.6 * share).toFixed(2),
      "stroke-opacity": (0.15 + 0.85 * share).toFixed(2), "stroke-dasharray": value < 0 && "4 3" });
  }

  function token(side, group, index) {
    const own = side === "queries", y = 30 + 18 * index, x = own ? parts.start - 5 : parts.start + GAP - 5;
    const wide = room([group]), of = seen[own ? "rows" : "columns"].length, padding = group.kind === PADDING;
    const element = make("g", { role: "button", tabindex: -1, class: "token", "data-side": side, "data-index": index,
      "aria-label": `${short(group.label)}, ${own ? "query" : "key"} ${index + 1} of ${of}: ${group.label}` },
    make("rect", { x: own ? x - wide + 3 : x - 3, y: y - 9, width: wide, height: 17, fill: "transparent", rx: 3 }),
    label(group, x, y + 4, own ? { "text-anchor": "end" } : {}),
    padding ? make("line", { x1: own ? x - 34 : x, x2: own ? x : x + 34, y1: y, y2: y, stroke: paint.soft }) : "");
    for (const kind of ["pointerenter", "focus"]) element.addEventListener(kind, () => look({ side, index }));
    element.addEventListener("click", () => pin({ side, index }));
    return element;
  }

  function drawArcs() {
    const { rows, columns, values } = seen, left = room(rows), width = left + GAP + room(columns) + 34;
    const height = 18 * Math.max(rows.length, columns.length) + 26;
    const svg = drawing("arcs", width, height, "group", "Tokens that look, and tokens looked at");
    Object.assign(parts, { start: left + 5, figuresAt: width - 36 });
    const lines = values.flatMap((row, i) => row.map((value, j) => ({ i, j, value })))
      .filter((line) => Math.abs(line.value) >= 0.02).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
    const heads = [["looks", left, "end"], ["is looked at", left + GAP, "start"]];
    for (const name of ["lines", "near", "figures"]) parts[name] = make("g", { "data-lines": name });
    parts.lines.append(...lines.slice(0, LINES).reverse().map(stroke));
    svg.append(...heads.map(([words, x, anchor]) => make("text",
      { x, y: 13, "text-anchor": anchor, fill: paint.soft, "font-size": 11 }, words)),
    parts.lines, parts.near, parts.figures,
    ...rows.map((row, i) => token("queries", row, i)), ...columns.map((column, j) => token("keys", column, j)));
    svg.querySelector(".token")?.setAttribute("tabindex", 0);
    parts.arcs.replaceChildren(svg);
  }

  function gridKey(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [layer, head] = [state.layer + step[0], state.head + step[1]];
    if (layer in range(layers) && head in range(heads)) Object.assign(state, { layer, head, show: "head" });
    renew();
    parts.heads.querySelector("[tabindex='0']").focus();
  }

  function arcsKey(event) {
    const here = event.target.closest(".token");
    if (!here) return;
    const { side } = here.dataset, index = Number(here.dataset.index);
    const all = (of) => [...parts.arcs.querySelectorAll(`[data-side="${of}"]`)];
    const goal = { ArrowUp: [side, index - 1], ArrowDown: [side, index + 1], Home: [side, 0], End: [side, Infinity],
      ArrowLeft: ["queries", index], ArrowRight: ["keys", index] }[event.key];
    if (event.key === "Enter" || event.key === " ") pin({ side, index });
    else if (event.key === "Escape") pin(null);
    else if (!goal) return;
    event.preventDefault();
    const next = goal && all(goal[0])[Math.max(0, Math.min(goal[1], all(goal[0]).length - 1))];
    if (!next) return;
    here.setAttribute("tabindex", -1);
    next.setAttribute("tabindex", 0);
    next.focus();
  }

  // ---- looking: what the pointer or the keyboard is on ----
  function onCell(event, use) {
    const box = parts.matrix.firstChild.getBoundingClientRect();
    const key = Math.floor((event.clientX - box.left - parts.left) / cell);
    const index = Math.floor((event.clientY - box.top - parts.top) / cell);
    if (seen.rows[index] && seen.columns[key]) use({ side: "queries", index, key });
  }

  function pin(target) {
    const same = target && pinned && ["side", "index", "key"].every((name) => target[name] === pinned[name]);
    pinned = same ? null : target;
    look(focus ?? pinned);
  }

  function look(target) {
    focus = target;
    const now = target ?? pinned, { rows, columns, values } = seen, ofKey = now?.side === "keys";
    const row = [now, pinned].find((one) => one?.side === "queries")?.index ?? null;
    const column = ofKey ? now.index : now?.key ?? null;
    const own = !now ? [] : ofKey ? rows.map((_, i) => ({ i, j: now.index, value: values[i][now.index] }))
      : columns.map((_, j) => ({ i: now.index, j, value: values[now.index][j] }));
    const near = own.filter((line) => Math.abs(line.value) >= 0.005);
    parts.lines.setAttribute("opacity", now ? 0.12 : 1);
    parts.near.replaceChildren(...near.map(stroke));
    parts.figures.replaceChildren(...(ofKey ? [] : near).map(({ j, value }) => make("text",
      { x: parts.figuresAt, y: 34 + 18 * j, fill: paint.ink, "font-size": 11 }, number(value))));
    const { left, top } = parts;
    mark(parts.rowMark, row !== null && [left - 0.5, top + row * cell - 0.5, columns.length * cell, cell]);
    mark(parts.columnMark, column !== null && [left + column * cell - 0.5, top - 0.5, cell, rows.length * cell]);
    for (const token of parts.arcs.querySelectorAll(".token")) {
      token.classList.toggle("on", Number(token.dataset.index) === (token.dataset.side === "queries" ? row : column));
    }
    parts.status.textContent = now ? sentence(now, row, column, own)
      : "Rest on a token or a cell, or move there with the arrow keys. Click or Enter keeps it.";
    drawProduct(row, column);
  }

  function mark(rect, box) { // box: x, y, width, height
    rect.setAttribute("visibility", box ? "visible" : "hidden");
    if (box) ["x", "y", "width", "height"].forEach((name, index) => rect.setAttribute(name, box[index]));
  }

  function sentence(now, row, column, own) {
    const { rows, columns, values } = seen, ofKey = now.side === "keys";
    const pair = row === null || column === null ? ""
      : `${rows[row].label} → ${columns[column].label}: ${number(values[row][column])}. `;
    const list = [...own].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 4)
      .map(({ i, j, value }) => `${(ofKey ? rows[i] : columns[j]).label} ${number(value)}`).join(", ");
    const subject = ofKey ? `${columns[now.index].label} is looked at most by` : `${rows[now.index].label} looks at`;
    return `${pair}${subject}: ${list}`;
  }

  function heading() {
    const what = { head: `layer ${state.layer}, head ${state.head}`, mean: `layer ${state.layer}, mean of the heads`,
      max: `layer ${state.layer}, maximum of the heads`, rollout: `rollout of layers 0 to ${state.layer}` }[state.show];
    const model = choices.model.find(([value]) => value === state.model)?.[1];
    return model === undefined ? what : `${model}, ${what}`;
  }

  function summary() {
    const all = seen.values.flatMap((row, i) => row.map((value, j) => [value, seen.rows[i].label, seen.columns[j].label]));
    const best = all.sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 3);
    const list = best.map(([value, query, key]) => `${query} to ${key} ${number(value)}`);
    return `${heading()}. Largest: ${list.join(", ")}.`;
  }

  // Query and key of a pair, feature by feature, and how their product becomes the weight.
  function drawProduct(row, column) {
    const pair = vectors[state.text][state.model], { queries, keys } = text();
    const members = [seen.rows[row]?.members ?? [], seen.columns[column]?.members ?? []];
    parts.product.hidden = !pair || state.show !== "head" || members.some((one) => one.length !== 1);
    if (parts.product.hidden) return;
    const { d_k, query_scales, key_scales } = text().vectors[state.model], at = state.layer * heads + state.head;
    const vector = (all, scales, n, index) => Float32Array.from(
      all.subarray((at * n + index) * d_k, (at * n + index + 1) * d_k), (value) => value * scales[at] / 32767);
    const q = vector(pair.queries, query_scales, queries.length, members[0][0]);
    const key = (index) => vector(pair.keys, key_scales, keys.length, index);
    const dot = (k) => q.reduce((sum, value, index) => sum + value * k[index], 0);
    const mine = members[1][0], k = key(mine), wide = Math.max(6, Math.min(14, Math.floor(420 / d_k))), left = 96;
    const svg = drawing("product", left + d_k * wide, 180, "img", "Bars of query, key and their product");
    const bars = [[`q: ${seen.rows[row].label}`, q], [`k: ${seen.columns[column].label}`, k],
      ["q × k", q.map((value, index) => value * k[index])]];
    bars.forEach(([name, values], line) => {
      const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9), zero = 30 + 60 * line;
      svg.append(make("text", { x: 0, y: zero + 4, fill: paint.ink, "font-size": 12 }, short(name)),
        make("line", { x1: left, x2: left + d_k * wide, y1: zero, y2: zero, stroke: paint.soft }));
      values.forEach((value, index) => {
        const height = 26 * Math.abs(value) / most;
        svg.append(make("rect", { x: left + index * wide, width: wide - 1, y: value < 0 ? zero : zero - height, height,
          fill: `rgb(${value < 0 ? paint.more : paint.less})` }));
      });
    });
    const open = keys.flatMap((one, index) => (one.kind === PADDING ? [] : [dot(key(index)) / Math.sqrt(d_k)]));
    const score = dot(k) / Math.sqrt(d_k), sum = open.reduce((total, one) => total + Math.exp(one - score), 0);
    const words = keys[mine].kind === PADDING ? "closed by the mask: weight 0."
      : `softmax over the ${open.length} open keys: ${(1 / sum).toFixed(4)}.`;
    parts.product.replaceChildren(svg, make("p", {},
      `Sum of the products q·k = ${plain(dot(k), 3)}; divided by √${d_k}: ${plain(score, 3)}; ${words}`));
  }

  function drawLegend() {
    const most = plain(seen.most, 2), difference = state.model === DIFFERENCE;
    const scale = difference
      ? `from −${most} to +${most}. + and a solid line: more in ${after}; − and a dashed line: less.`
      : `Colour and width go from 0 to ${number(seen.most)}, the largest here.`;
    const whole = difference || state.show === "max" ? "" : " A row adds up to 1; hidden keys keep their share.";
    const merged = state.words ? " Whole words: weights to a word's pieces are added, from them averaged." : "";
    const bar = make("span", { class: "bar", "aria-hidden": "true" });
    bar.style.background = `linear-gradient(90deg, ${difference ? `${rgb(-1)}, ` : ""}${rgb(0)}, ${rgb(1)})`;
    parts.legend.replaceChildren(make("b", {}, heading()), " ", bar,
      ` ${scale}${whole}${merged} Lines from 0.02. Stored in one byte: each within ${difference ? 0.004 : 0.002}.`);
  }

  function fillTable() {
    if (!parts.table.open) return;
    const { rows, columns, values } = seen, head = (scope, group) => make("th", { scope }, group.label);
    parts.rows.replaceChildren(make("table", {},
      make("caption", {}, `${heading()}: rows look, columns are looked at`),
      make("thead", {}, make("tr", {}, make("td"), ...columns.map((column) => head("col", column)))),
      make("tbody", {}, ...rows.map((row, i) => make("tr", {}, head("row", row),
        ...values[i].map((value) => make("td", {}, plain(value, 3))))))));
  }

  // ---- saving ----
  function picture() {
    const drawings = [parts.matrix.firstChild, parts.arcs.firstChild].map((svg) => svg.cloneNode(true));
    const sizes = drawings.map((svg) => ["width", "height"].map((name) => Number(svg.getAttribute(name))));
    const width = sizes[0][0] + sizes[1][0] + 20, height = Math.max(sizes[0][1], sizes[1][1]) + 30;
    drawings.forEach((svg, index) => { svg.setAttribute("x", index * (sizes[0][0] + 20)); svg.setAttribute("y", 30); });
    const svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "system-ui, sans-serif" },
      make("rect", { width, height, fill: rgb(0) }),
      make("text", { x: 4, y: 18, fill: paint.ink, "font-size": 13 }, `${data.title}: ${heading()}`), ...drawings);
    return { markup: new XMLSerializer().serializeToString(svg), width, height };
  }

  function save(blob, ending) {
    const download = `attention-layer-${state.layer}-head-${state.head}.${ending}`;
    const link = make("a", { href: URL.createObjectURL(blob), download });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  async function savePng() {
    const { markup, width, height } = picture(), image = new Image();
    const canvas = make("canvas", { width: 2 * width, height: 2 * height });
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(markup)}`;
    await image.decode();
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => save(blob, "png"));
  }

  // ---- life ----
  function renew() {
    paint = colours();
    const properties = { "--ink": paint.ink, "--soft": paint.soft, "--back": rgb(0) };
    for (const [name, value] of Object.entries(properties)) host.style.setProperty(name, value);
    for (const [name, value] of Object.entries(state)) {
      if (parts[name]?.type === "checkbox") parts[name].checked = value;
      else if (parts[name]) parts[name].value = value;
    }
    const inputs = [state.text, state.model, state.special, state.padding, state.part, paint.dark].join();
    if (inputs !== drawn) drawGrid();
    [drawn, seen, pinned] = [inputs, view(), null];
    for (const draw of [markGrid, drawMatrix, drawArcs, drawLegend, fillTable]) draw();
    look(null);
  }

  try {
    renew();
  } catch (error) {
    root.replaceChildren(make("slot")); // the still picture
    throw error;
  }
  host.dataset.drawn = (performance.now() - started).toFixed(0);
  new ResizeObserver(() => { if (sized() !== cell) renew(); }).observe(host);
  const themed = new MutationObserver(() => { if (colours().dark !== paint.dark) renew(); });
  for (const element of [document.documentElement, document.body]) themed.observe(element, { attributes: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => renew());
}
