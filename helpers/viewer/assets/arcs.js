// The lines between tokens: those that look on the left, those looked at on the right.

const LINES = 600; // the most that are drawn at once
const GAP = 110; // between the two columns of tokens

function drawArcs(view) {
  const { rows, columns, values } = view.seen;
  const left = room(rows);
  const width = left + GAP + room(columns) + 34;
  const height = 18 * Math.max(rows.length, columns.length) + 26;
  const svg = makeDrawing("arcs", width, height, "group", "Tokens that look, and tokens looked at");
  view.arcs = { start: left + 5, figuresAt: width - 36 };
  for (const name of ["lines", "near", "figures"]) view.arcs[name] = make("g", { "data-lines": name });
  const lines = values
    .flatMap((row, i) => row.map((value, j) => ({ i, j, value })))
    .filter((line) => Math.abs(line.value) >= 0.02)
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const strongestLast = lines.slice(0, LINES).reverse();
  view.arcs.lines.append(...strongestLast.map((line) => makeLine(view, line)));
  const heading = { y: 13, fill: view.paint.soft, "font-size": 11 };
  svg.append(
    make("text", { x: left, "text-anchor": "end", ...heading }, "looks"),
    make("text", { x: left + GAP, "text-anchor": "start", ...heading }, "is looked at"),
    view.arcs.lines,
    view.arcs.near,
    view.arcs.figures,
    ...rows.map((row, i) => makeToken(view, "queries", row, i)),
    ...columns.map((column, j) => makeToken(view, "keys", column, j)),
  );
  svg.querySelector(".token")?.setAttribute("tabindex", 0);
  view.parts.arcs.replaceChildren(svg);
}

function makeLine(view, { i, j, value }) {
  const from = view.arcs.start;
  const to = from + GAP - 10;
  const middle = (from + to) / 2;
  const y = 30 + 18 * i;
  const end = 30 + 18 * j;
  const share = Math.abs(value) / view.seen.most;
  return make("path", {
    d: `M${from} ${y}C${middle} ${y} ${middle} ${end} ${to} ${end}`,
    fill: "none",
    stroke: rgb(view, Math.sign(value)),
    "stroke-width": (0.4 + 3.6 * share).toFixed(2),
    "stroke-opacity": (0.15 + 0.85 * share).toFixed(2),
    "stroke-dasharray": value < 0 && "4 3",
  });
}

function makeToken(view, side, group, index) {
  const own = side === "queries";
  const { start } = view.arcs;
  const x = own ? start - 5 : start + GAP - 5;
  const y = 30 + 18 * index;
  const wide = room([group]);
  const of = view.seen[own ? "rows" : "columns"].length;
  const name = `${short(group.label)}, ${own ? "query" : "key"} ${index + 1} of ${of}: ${group.label}`;
  const attributes = { role: "button", tabindex: -1, class: "token", "aria-label": name };
  const place = { "data-side": side, "data-index": index };
  const box = { x: own ? x - wide + 3 : x - 3, y: y - 9, width: wide, height: 17, rx: 3 };
  const element = make(
    "g",
    { ...attributes, ...place },
    make("rect", { ...box, fill: "transparent" }),
    makeLabel(view, group, x, y + 4, own ? { "text-anchor": "end" } : {}),
  );
  if (group.kind === PADDING) {
    const struck = { x1: own ? x - 34 : x, x2: own ? x : x + 34, y1: y, y2: y, stroke: view.paint.soft };
    element.append(make("line", struck));
  }
  for (const kind of ["pointerenter", "focus"]) {
    element.addEventListener(kind, () => look(view, { side, index }));
  }
  element.addEventListener("click", () => pin(view, { side, index }));
  return element;
}

// The lines of the token that is looked at stand out, with their weights beside the keys.
function markArcs(view, own, target, row, column) {
  const { arcs, paint, parts } = view;
  const near = own.filter((line) => Math.abs(line.value) >= 0.005);
  const figures = target?.side === "keys" ? [] : near;
  arcs.lines.setAttribute("opacity", target ? 0.12 : 1);
  arcs.near.replaceChildren(...near.map((line) => makeLine(view, line)));
  arcs.figures.replaceChildren(
    ...figures.map(({ j, value }) => {
      const attributes = { x: arcs.figuresAt, y: 34 + 18 * j, fill: paint.ink, "font-size": 11 };
      return make("text", attributes, inWords(view, value));
    }),
  );
  for (const token of parts.arcs.querySelectorAll(".token")) {
    const here = token.dataset.side === "queries" ? row : column;
    token.classList.toggle("on", Number(token.dataset.index) === here);
  }
}

function moveInArcs(view, event) {
  const here = event.target.closest(".token");
  if (!here) return;
  const { side } = here.dataset;
  const index = Number(here.dataset.index);
  const goal = {
    ArrowUp: [side, index - 1],
    ArrowDown: [side, index + 1],
    Home: [side, 0],
    End: [side, Infinity],
    ArrowLeft: ["queries", index],
    ArrowRight: ["keys", index],
  }[event.key];
  if (event.key === "Enter" || event.key === " ") pin(view, { side, index });
  else if (event.key === "Escape") pin(view, null);
  else if (!goal) return;
  event.preventDefault();
  if (!goal) return;
  const column = [...view.parts.arcs.querySelectorAll(`[data-side="${goal[0]}"]`)];
  const next = column[Math.max(0, Math.min(goal[1], column.length - 1))];
  if (!next) return;
  here.setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  next.focus();
}
