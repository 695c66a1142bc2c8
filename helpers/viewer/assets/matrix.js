// The matrix: a cell a weight, rows look, columns are looked at.

// The width of a cell: as large as the room allows.
function cellWidth(view) {
  const { rows, columns } = view.seen;
  const free = (view.parts.space.clientWidth || 480) - room(rows) - 6;
  return Math.max(12, Math.min(30, Math.floor(free / Math.max(1, columns.length))));
}

function drawMatrix(view) {
  const { seen, paint } = view;
  const { rows, columns } = seen;
  const cell = cellWidth(view);
  const left = room(rows);
  const top = room(columns);
  view.matrix = { cell, left, top };
  const width = left + columns.length * cell + 4;
  const height = top + rows.length * cell + 4;
  const svg = makeDrawing("matrix", width, height, "img", summary(view));
  columns.forEach((column, j) => {
    const transform = `translate(${left + (j + 0.5) * cell + 4} ${top - 5}) rotate(-90)`;
    svg.append(makeLabel(view, column, 0, 0, { transform }));
  });
  rows.forEach((row, i) => {
    svg.append(makeLabel(view, row, left - 5, top + (i + 0.5) * cell + 4, { "text-anchor": "end" }));
  });
  const lines = drawCells(view, svg);
  svg.append(
    make("path", { d: lines.hatch, stroke: paint.soft, "stroke-width": 0.8, fill: "none" }),
    make("path", { d: lines.strong, stroke: rgb(view, 0), "stroke-width": 1.5, fill: "none" }),
    make("path", { d: lines.weak, stroke: paint.ink, "stroke-width": 1.5, fill: "none" }),
  );
  for (const side of ["row", "column"]) {
    const frame = { fill: "none", stroke: paint.ink, "stroke-width": 1.5, visibility: "hidden" };
    view.matrix[side] = make("rect", frame);
    svg.append(view.matrix[side]);
  }
  view.parts.matrix.replaceChildren(svg);
}

// Cells in colour; gives the paths of what stands on them: + and − of a difference, hatches of padding.
function drawCells(view, svg) {
  const { rows, columns, values, most } = view.seen;
  const { cell, left, top } = view.matrix;
  const lines = { strong: "", weak: "", hatch: "" };
  rows.forEach((row, i) => {
    columns.forEach((column, j) => {
      const share = values[i][j] / most;
      const x = left + j * cell;
      const y = top + i * cell;
      svg.append(make("rect", { x, y, width: cell - 1, height: cell - 1, fill: rgb(view, share) }));
      if (view.state.model === DIFFERENCE && Math.abs(share) > 0.2) {
        const upright = share > 0 ? "m-3 -3v6" : "";
        const sign = `M${x + cell / 2 - 3.5} ${y + cell / 2 - 0.5}h6${upright}`;
        lines[Math.abs(share) > 0.55 ? "strong" : "weak"] += sign;
      }
      if (row.kind === PADDING || column.kind === PADDING) {
        lines.hatch += `M${x} ${y + cell - 1}l${cell - 1} ${1 - cell}`;
      }
    });
  });
  return lines;
}

// Frames the row and the column that are looked at; null: none.
function markMatrix(view, row, column) {
  const { matrix, seen } = view;
  const { cell, left, top } = matrix;
  const across = { width: seen.columns.length * cell, height: cell };
  const down = { width: cell, height: seen.rows.length * cell };
  placeFrame(matrix.row, row !== null && { x: left - 0.5, y: top + row * cell - 0.5, ...across });
  placeFrame(matrix.column, column !== null && { x: left + column * cell - 0.5, y: top - 0.5, ...down });
}

function placeFrame(rect, box) {
  rect.setAttribute("visibility", box ? "visible" : "hidden");
  for (const [name, value] of Object.entries(box || {})) rect.setAttribute(name, value);
}

// What the pointer is on, in the matrix.
function onCell(view, event, use) {
  const { cell, left, top } = view.matrix;
  const box = view.parts.matrix.firstChild.getBoundingClientRect();
  const key = Math.floor((event.clientX - box.left - left) / cell);
  const index = Math.floor((event.clientY - box.top - top) / cell);
  if (view.seen.rows[index] && view.seen.columns[key]) use(view, { side: "queries", index, key });
}
