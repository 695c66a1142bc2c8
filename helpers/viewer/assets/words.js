// What is said in words: status, summary, legend and table.

function plain(weight, digits) {
  return weight.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
}

function inWords(view, weight) {
  const sign = view.state.model === DIFFERENCE && weight > 0 ? "+" : "";
  return sign + plain(weight, weight !== 0 && Math.abs(weight) < 0.0995 ? 3 : 2);
}

function heading(view) {
  const { layer, head, show, model } = view.state;
  const what = {
    head: `layer ${layer}, head ${head}`,
    mean: `layer ${layer}, mean of the heads`,
    max: `layer ${layer}, maximum of the heads`,
    rollout: `rollout of layers 0 to ${layer}`,
  }[show];
  const name = view.choices.model.find(([value]) => value === model)?.[1];
  return name === undefined ? what : `${name}, ${what}`;
}

function summary(view) {
  const { rows, columns, values } = view.seen;
  const list = values
    .flatMap((row, i) => row.map((value, j) => ({ value, query: rows[i].label, key: columns[j].label })))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
    .slice(0, 3)
    .map(({ value, query, key }) => `${query} to ${key} ${inWords(view, value)}`);
  return `${heading(view)}. Largest: ${list.join(", ")}.`;
}

// What is said of the token or cell that is looked at; `own` are its lines.
function sentence(view, target, row, column, own) {
  const { rows, columns, values } = view.seen;
  const ofKey = target.side === "keys";
  const list = [...own]
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
    .slice(0, 4)
    .map(({ i, j, value }) => `${(ofKey ? rows[i] : columns[j]).label} ${inWords(view, value)}`)
    .join(", ");
  const subject = ofKey
    ? `${columns[target.index].label} is looked at most by`
    : `${rows[target.index].label} looks at`;
  if (row === null || column === null) return `${subject}: ${list}`;
  const pair = `${rows[row].label} → ${columns[column].label}: ${inWords(view, values[row][column])}`;
  return `${pair}. ${subject}: ${list}`;
}

function drawLegend(view) {
  const { seen, state, data } = view;
  const most = plain(seen.most, 2);
  const difference = state.model === DIFFERENCE;
  const signs = `+ and a solid line: more in ${data.names[1]}; − and a dashed line: less.`;
  const scale = difference
    ? `from −${most} to +${most}. ${signs}`
    : `Colour and width go from 0 to ${inWords(view, seen.most)}, the largest here.`;
  const sums = !difference && state.show !== "max";
  const whole = sums ? " A row adds up to 1; hidden keys keep their share." : "";
  const merged = state.words ? " Whole words: weights to a word's pieces are added, from them averaged." : "";
  const stored = ` Lines from 0.02. Stored in one byte: each within ${difference ? 0.004 : 0.002}.`;
  const bar = make("span", { class: "bar", "aria-hidden": "true" });
  const stops = [...(difference ? [-1] : []), 0, 1].map((share) => rgb(view, share));
  bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
  const text = ` ${scale}${whole}${merged}${stored}`;
  view.parts.legend.replaceChildren(make("b", {}, heading(view)), " ", bar, text);
}

function fillTable(view) {
  if (!view.parts.table.open) return;
  const { rows, columns, values } = view.seen;
  const named = (scope, group) => make("th", { scope }, group.label);
  const numbers = (row) => row.map((value) => make("td", {}, plain(value, 3)));
  const head = make("tr", {}, make("td"), ...columns.map((column) => named("col", column)));
  const body = rows.map((row, i) => make("tr", {}, named("row", row), ...numbers(values[i])));
  const caption = `${heading(view)}: rows look, columns are looked at`;
  view.parts.rows.replaceChildren(
    make("table", {}, make("caption", {}, caption), make("thead", {}, head), make("tbody", {}, ...body)),
  );
}
