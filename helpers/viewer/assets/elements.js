// Elements, colours and labels, for every drawing.

const LABEL = 14; // characters of a label that are shown
const SVG = ["svg", "g", "rect", "path", "text", "line"];

function make(tag, attributes = {}, ...children) {
  const element = SVG.includes(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function makeDrawing(name, width, height, role, caption) {
  return make("svg", {
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role,
    "aria-label": caption,
    "font-family": "system-ui, sans-serif",
    "data-drawing": name,
  });
}

const LIGHT = {
  dark: false,
  back: [255, 255, 255],
  more: [122, 40, 0],
  less: [0, 62, 133],
  ink: "#1b1f24",
  soft: "#57606a",
};
const DARK = {
  dark: true,
  back: [24, 27, 33],
  more: [255, 196, 87],
  less: [110, 180, 255],
  ink: "#e8eaed",
  soft: "#a9b0ba",
};

// The colour behind the view says whether the page is dark, whatever shows it.
function coloursBehind(host) {
  let element = host;
  let back = null;
  while (element && !back) {
    const found = getComputedStyle(element).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (found && (found[3] ?? 1) > 0.5) back = found;
    element = element.parentElement ?? element.getRootNode().host;
  }
  if (!back) return matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT;
  return back[0] * 0.3 + back[1] * 0.59 + back[2] * 0.11 < 128 ? DARK : LIGHT;
}

// The colour of a share of the largest weight, −1 to 1, as red, green and blue.
function colour(view, share) {
  const { paint, state } = view;
  const end = share < 0 || state.model !== DIFFERENCE ? paint.less : paint.more;
  const far = Math.min(1, Math.abs(share));
  return paint.back.map((from, channel) => Math.round(from + (end[channel] - from) * far));
}

function rgb(view, share) {
  return `rgb(${colour(view, share).join(",")})`;
}

function short(label) {
  return label.length > LABEL ? `${label.slice(0, LABEL - 1)}…` : label;
}

// The width that the labels of these tokens need.
function room(groups) {
  return 14 + 7.4 * Math.max(2, ...groups.map((group) => short(group.label).length));
}

function makeLabel(view, group, x, y, options = {}) {
  const attributes = {
    x,
    y,
    fill: group.kind ? view.paint.soft : view.paint.ink,
    "font-size": 12,
    "font-style": group.kind === PADDING ? "italic" : "normal",
    ...options,
  };
  return make("text", attributes, short(group.label));
}
