/* Turns a page of the site, open in print media, into a chapter of the print edition: solutions at its
   end, anchors for links from other chapters. `wanted` are the ids that other pages link to. */
(wanted) => {
  const article = document.querySelector("article");
  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  const folds = [...article.querySelectorAll(".cell.tag_hide-cell")].filter((cell) =>
    /solution/i.test(cell.querySelector("summary")?.textContent ?? ""));
  if (folds.length) {
    const section = make("section", { id: "solutions", class: "course-solutions" }, make("h2", {}, "Solutions"));
    folds.forEach((cell, index) => {
      let before = cell.previousElementSibling;
      while (before && !before.querySelector(":scope > strong:first-child")) before = before.previousElementSibling;
      const name = before?.querySelector("strong")?.textContent.replace(/[.:]$/, "") ?? `Exercise ${index + 1}`;
      const id = `solution-${index + 1}`;
      cell.before(make("p", { class: "course-to-solution" }, make("a", { href: `#${id}` }, "Its solution stands at the end of the chapter.")));
      before?.setAttribute("data-solution", id);
      section.append(make("h3", { id }, name), cell);
    });
    (article.querySelector("h1")?.closest("section") ?? article).append(section);
  }

  const anchors = make("div", { hidden: "" });
  for (const id of wanted) if (document.getElementById(id)) anchors.append(make("a", { href: `#${id}` }));
  article.append(anchors);
  return folds.length;
}
