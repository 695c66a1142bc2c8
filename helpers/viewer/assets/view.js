// A view's life: what it shows, what the reader looks at, and when it is drawn anew.

function attentionView(host, data) {
  const started = performance.now();
  const weights = unpackedWeights(data.texts);
  const vectors = unpackedVectors(data.texts);
  const root = host.attachShadow({ mode: "open" });
  root.innerHTML = data.frame;
  const view = {
    host,
    data,
    parts: Object.fromEntries(
      [...root.querySelectorAll("[data-part]")].map((element) => [element.dataset.part, element]),
    ),
    choices: choicesOf(data),
    weights,
    vectors,
    state: { text: 0, model: 0, special: true, padding: true, words: false, part: "all", ...data.start },
    seen: null, // rows, columns and values that are shown
    paint: null, // the colours of the page's theme
    focus: null, // what the pointer or the keyboard is on
    pinned: null, // what a click keeps
    drawn: "", // what the grid was last drawn of
    renew: () => renew(view),
  };
  try {
    fillFrame(view);
    renew(view);
  } catch (error) {
    root.replaceChildren(make("slot")); // the still picture
    throw error;
  }
  host.dataset.drawn = (performance.now() - started).toFixed(0);
  watch(view);
}

function renew(view) {
  view.paint = coloursBehind(view.host);
  view.host.style.setProperty("--ink", view.paint.ink);
  view.host.style.setProperty("--soft", view.paint.soft);
  view.host.style.setProperty("--back", rgb(view, 0));
  showChoices(view);
  const { text, model, special, padding, part } = view.state;
  const inputs = [text, model, special, padding, part, view.paint.dark].join();
  if (inputs !== view.drawn) drawGrid(view);
  view.drawn = inputs;
  view.seen = seenWeights(view);
  view.pinned = null;
  for (const draw of [markGrid, drawMatrix, drawArcs, drawLegend, fillTable]) draw(view);
  look(view, null);
}

// `target` is a token, by side and index, or a cell, which has a key too; null: nothing.
function look(view, target) {
  view.focus = target;
  const { pinned } = view;
  const { rows, columns, values } = view.seen;
  const now = target ?? pinned;
  const ofKey = now?.side === "keys";
  const row = [now, pinned].find((one) => one?.side === "queries")?.index ?? null;
  const column = ofKey ? now.index : (now?.key ?? null);
  let own = [];
  if (ofKey) own = rows.map((_, i) => ({ i, j: now.index, value: values[i][now.index] }));
  else if (now) own = columns.map((_, j) => ({ i: now.index, j, value: values[now.index][j] }));
  markArcs(view, own, now, row, column);
  markMatrix(view, row, column);
  view.parts.status.textContent = now
    ? sentence(view, now, row, column, own)
    : "Rest on a token or a cell, or move there with the arrow keys. Click or Enter keeps it.";
  drawProduct(view, row, column);
}

function pin(view, target) {
  const { pinned } = view;
  const same = target && pinned && ["side", "index", "key"].every((name) => target[name] === pinned[name]);
  view.pinned = same ? null : target;
  look(view, view.focus ?? view.pinned);
}

// Drawn anew when there is more or less room, and when the page turns dark or light.
function watch(view) {
  const resized = new ResizeObserver(() => {
    if (cellWidth(view) !== view.matrix.cell) renew(view);
  });
  resized.observe(view.host);
  const themed = new MutationObserver(() => {
    if (coloursBehind(view.host).dark !== view.paint.dark) renew(view);
  });
  themed.observe(document.documentElement, { attributes: true });
  themed.observe(document.body, { attributes: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => renew(view));
}
