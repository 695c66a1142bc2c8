// The frame around the drawings: menus and switches, and what they change.

function range(length) {
  return Array.from({ length }, (_, value) => [value, String(value)]);
}

// The menus, each as [value, words] of its options. One of fewer than two options is hidden.
function choicesOf(data) {
  const [before, after] = data.names;
  const crossed = data.texts.some((text) => text.cross);
  const isPair = !crossed && data.texts.some((text) => text.keys.some((token) => token.part === 1));
  const both = [
    [0, before],
    [1, after],
    [DIFFERENCE, `${after} − ${before}`],
  ];
  const ways = [
    ["head", "one head"],
    ["mean", "mean of the heads"],
    ["max", "maximum of the heads"],
  ];
  const blocks = [
    ["all", "all"],
    ["00", "A → A"],
    ["01", "A → B"],
    ["10", "B → A"],
    ["11", "B → B"],
  ];
  return {
    text: data.texts.map((text, index) => [index, text.name]),
    model: after === undefined ? [] : both,
    show: crossed ? ways : [...ways, ["rollout", "rollout up to the layer"]],
    layer: range(data.layers),
    head: range(data.heads),
    part: isPair ? blocks : [],
  };
}

// The switches, and whether there is anything to switch.
function switchesOf(data) {
  const tokens = data.texts.flatMap((text) => [...text.queries, ...text.keys]);
  const goesOn = (token, before) =>
    token.word !== null && token.word === before?.word && token.part === before.part;
  const hasPieces = ({ keys }) => keys.some((token, index) => goesOn(token, keys[index - 1]));
  return {
    special: tokens.some((token) => token.kind === SPECIAL),
    padding: tokens.some((token) => token.kind === PADDING),
    words: data.texts.some(hasPieces),
  };
}

function fillFrame(view) {
  const { data, parts, state, choices } = view;
  parts.title.textContent = data.title;
  parts.frame.ariaLabel = data.title;
  for (const [name, options] of Object.entries(choices)) {
    parts[name].append(...options.map(([value, words]) => new Option(words, value)));
    parts[name].parentElement.hidden = options.length < 2;
    parts[name].addEventListener("change", ({ target }) => {
      state[name] = typeof state[name] === "number" ? Number(target.value) : target.value;
      view.renew();
    });
  }
  for (const [name, isUsed] of Object.entries(switchesOf(data))) {
    parts[name].parentElement.hidden = !isUsed;
    parts[name].addEventListener("change", ({ target }) => {
      state[name] = target.checked;
      view.renew();
    });
  }
  makeGridButtons(view);
  parts.matrix.addEventListener("pointermove", (event) => onCell(view, event, look));
  parts.matrix.addEventListener("click", (event) => onCell(view, event, pin));
  parts.matrix.addEventListener("pointerleave", () => look(view, null));
  parts.arcs.addEventListener("pointerleave", () => look(view, null));
  parts.arcs.addEventListener("keydown", (event) => moveInArcs(view, event));
  parts.table.addEventListener("toggle", () => fillTable(view));
  parts.svg.addEventListener("click", () => saveSvg(view));
  parts.png.addEventListener("click", () => savePng(view));
}

// Menus and switches show what is chosen, for keys and the grid choose too.
function showChoices(view) {
  for (const [name, value] of Object.entries(view.state)) {
    const part = view.parts[name];
    if (part?.type === "checkbox") part.checked = value;
    else if (part) part.value = value;
  }
}
