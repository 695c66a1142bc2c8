// The matrix and the lines side by side, as a file.

function picture(view) {
  const { matrix, arcs } = view.parts;
  const drawings = [matrix, arcs].map((part) => part.firstChild.cloneNode(true));
  const [first, second] = drawings.map((svg) => ({
    width: Number(svg.getAttribute("width")),
    height: Number(svg.getAttribute("height")),
  }));
  const width = first.width + second.width + 20;
  const height = Math.max(first.height, second.height) + 30;
  drawings.forEach((svg, index) => {
    svg.setAttribute("x", index * (first.width + 20));
    svg.setAttribute("y", 30);
  });
  const title = `${view.data.title}: ${heading(view)}`;
  const svg = make(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "system-ui, sans-serif" },
    make("rect", { width, height, fill: rgb(view, 0) }),
    make("text", { x: 4, y: 18, fill: view.paint.ink, "font-size": 13 }, title),
    ...drawings,
  );
  return { markup: new XMLSerializer().serializeToString(svg), width, height };
}

function save(view, blob, ending) {
  const { layer, head } = view.state;
  const download = `attention-layer-${layer}-head-${head}.${ending}`;
  const link = make("a", { href: URL.createObjectURL(blob), download });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function saveSvg(view) {
  save(view, new Blob([picture(view).markup], { type: "image/svg+xml" }), "svg");
}

async function savePng(view) {
  const { markup, width, height } = picture(view);
  const image = new Image();
  const canvas = make("canvas", { width: 2 * width, height: 2 * height });
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(markup)}`;
  await image.decode();
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => save(view, blob, "png"));
}
