// Query and key of a pair, feature by feature, and how their product becomes the weight.

function drawProduct(view, row, column) {
  const { parts, seen, state, data } = view;
  const text = textOf(view);
  const packed = text.vectors[state.model];
  const pair = view.vectors[state.text][state.model];
  const members = [seen.rows[row]?.members ?? [], seen.columns[column]?.members ?? []];
  parts.product.hidden = !pair || state.show !== "head" || members.some((one) => one.length !== 1);
  if (parts.product.hidden) return;
  const { d_k } = packed;
  const at = state.layer * data.heads + state.head;
  const vector = (all, scales, n, index) => {
    const start = (at * n + index) * d_k;
    return Float32Array.from(all.subarray(start, start + d_k), (value) => (value * scales[at]) / 32767);
  };
  const query = vector(pair.queries, packed.query_scales, text.queries.length, members[0][0]);
  const key = (index) => vector(pair.keys, packed.key_scales, text.keys.length, index);
  const dot = (k) => query.reduce((sum, value, index) => sum + value * k[index], 0);
  const mine = members[1][0];
  const bars = [
    { name: `q: ${seen.rows[row].label}`, values: query },
    { name: `k: ${seen.columns[column].label}`, values: key(mine) },
    { name: "q × k", values: query.map((value, index) => value * key(mine)[index]) },
  ];
  const score = dot(key(mine)) / Math.sqrt(d_k);
  const open = [...text.keys.keys()].filter((index) => text.keys[index].kind !== PADDING);
  const scores = open.map((index) => dot(key(index)) / Math.sqrt(d_k));
  const sum = scores.reduce((total, one) => total + Math.exp(one - score), 0);
  const end = open.includes(mine)
    ? `softmax over the ${open.length} open keys: ${(1 / sum).toFixed(4)}.`
    : "closed by the mask: weight 0.";
  const steps = `divided by √${d_k}: ${plain(score, 3)}; ${end}`;
  const words = `Sum of the products q·k = ${plain(dot(key(mine)), 3)}; ${steps}`;
  parts.product.replaceChildren(drawBars(view, bars, d_k), make("p", {}, words));
}

function drawBars(view, bars, d_k) {
  const { paint } = view;
  const left = 96;
  const wide = Math.max(6, Math.min(14, Math.floor(420 / d_k)));
  const svg = makeDrawing("product", left + d_k * wide, 180, "img", "Bars of query, key and their product");
  bars.forEach(({ name, values }, line) => {
    const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
    const zero = 30 + 60 * line;
    svg.append(
      make("text", { x: 0, y: zero + 4, fill: paint.ink, "font-size": 12 }, short(name)),
      make("line", { x1: left, x2: left + d_k * wide, y1: zero, y2: zero, stroke: paint.soft }),
    );
    values.forEach((value, index) => {
      const height = (26 * Math.abs(value)) / most;
      const y = value < 0 ? zero : zero - height;
      const fill = `rgb(${value < 0 ? paint.more : paint.less})`;
      svg.append(make("rect", { x: left + index * wide, y, width: wide - 1, height, fill }));
    });
  });
  return svg;
}
