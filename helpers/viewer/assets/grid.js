// The grid of all heads: a thumbnail of each matrix, and a button on it.

function makeGridButtons(view) {
  const { layers, heads } = view.data;
  const grid = view.parts.heads;
  grid.style.gridTemplate = `repeat(${layers}, 1fr) / repeat(${heads}, 1fr)`;
  grid.style.aspectRatio = `${heads} / ${layers}`;
  for (let number = 0; number < layers * heads; number += 1) {
    const layer = Math.floor(number / heads);
    const head = number % heads;
    const name = `layer ${layer}, head ${head}`;
    const button = make("button", { type: "button", title: name, "aria-label": name });
    button.addEventListener("click", () => {
      Object.assign(view.state, { layer, head, show: "head" });
      view.renew();
    });
    grid.append(button);
  }
  grid.addEventListener("keydown", (event) => moveInGrid(view, event));
}

// The colours of −255/255 to 255/255, each as one number of four bytes.
function coloursAsNumbers(view) {
  const bytes = [];
  for (let step = -255; step <= 255; step += 1) bytes.push(...colour(view, step / 255), 255);
  return new Uint32Array(Uint8Array.from(bytes).buffer);
}

function drawGrid(view) {
  const { layers, heads } = view.data;
  const rows = shownTokens(view, "queries").flatMap((group) => group.members);
  const columns = shownTokens(view, "keys").flatMap((group) => group.members);
  const high = rows.length + 1;
  const wide = columns.length + 1;
  const width = textOf(view).keys.length;
  const { canvas } = view.parts;
  canvas.width = heads * wide;
  canvas.height = layers * high;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  const steps = coloursAsNumbers(view);
  for (let at = 0; at < layers * heads; at += 1) {
    const layer = Math.floor(at / heads);
    const head = at % heads;
    const values = chosenWeights(view, view.state.model, { layer, head, show: "head" });
    const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
    rows.forEach((row, i) => {
      const start = (layer * high + i) * canvas.width + head * wide;
      columns.forEach((column, j) => {
        pixels[start + j] = steps[Math.round((255 * values[row * width + column]) / most) + 255];
      });
    });
  }
  pen.putImageData(image, 0, 0);
}

// Presses the button of the head that is shown, and frames those that a mean or a rollout is made of.
function markGrid(view) {
  const { heads } = view.data;
  const { layer, head, show } = view.state;
  [...view.parts.heads.querySelectorAll("button")].forEach((button, index) => {
    const here = index === layer * heads + head;
    const its = Math.floor(index / heads);
    button.tabIndex = here ? 0 : -1;
    button.setAttribute("aria-pressed", show === "head" && here);
    button.classList.toggle("row", show !== "head" && (show === "rollout" ? its <= layer : its === layer));
  });
}

function moveInGrid(view, event) {
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  const layer = view.state.layer + step[0];
  const head = view.state.head + step[1];
  if (layer >= 0 && layer < view.data.layers && head >= 0 && head < view.data.heads) {
    Object.assign(view.state, { layer, head, show: "head" });
  }
  view.renew();
  view.parts.heads.querySelector("[tabindex='0']").focus();
}
