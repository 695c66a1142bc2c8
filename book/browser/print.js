/* Makes a page ready for paper, and undoes it afterwards: light colours, folds opened, figures drawn
   for the paper's width, wide things made smaller, attention views without their controls. */
"use strict";
(() => {
  const WIDTH = 680; // CSS pixels between the margins of A4, as in print.css
  const HEIGHT = 900; // of a page, less a title above the figure
  const SHORT = 330; // what is lower than this moves to the next page rather than being torn
  const LEAST = 0.8; // how small code gets before its lines are broken
  const STILL = `@media print {
    section { border: 0; padding: 0; background: none; }
    .controls button, .controls label:has(input), .status, details, .grid .caption { display: none; }
    .controls { margin: 0; }
    .controls select { appearance: none; min-height: 0; padding: 0; border: 0; background: none; font-weight: 600; opacity: 1; }
    .scroll { overflow: visible; max-height: none; }
    .panels svg { max-width: 100%; height: auto; }
  }`;
  const root = document.documentElement;
  const article = document.querySelector("article");
  let undo = [];

  /* Gives an object a value until the page is back on the screen. */
  function lend(object, name, value) {
    const before = object[name];
    object[name] = value;
    undo.push(() => { object[name] = before; });
  }

  function stillViews() {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STILL);
    for (const view of document.querySelectorAll(".course-attention")) view.shadowRoot?.adoptedStyleSheets.push(sheet);
  }

  /* A frame as large as what is in it, made smaller from within: zoom does not reach into it on paper. */
  function openFrame(frame) {
    const inside = frame.contentDocument?.documentElement;
    if (!inside) return;
    const [width, height] = [inside.scrollWidth, inside.scrollHeight + 4];
    const zoom = Math.min(1, (WIDTH - 4) / width, HEIGHT / height);
    lend(inside.style, "zoom", String(zoom));
    lend(frame.style, "width", `${Math.ceil(width * zoom)}px`);
    lend(frame.style, "height", `${Math.ceil(height * zoom)}px`);
  }

  function shrink(element, width, room, height = 0) {
    const zoom = Math.min(room / width, HEIGHT / height);
    if (zoom < 0.999) lend(element.style, "zoom", String(Math.floor(zoom * 1000) / 1000));
  }

  function fit() {
    for (const frame of article.querySelectorAll("iframe")) openFrame(frame);
    const lines = document.createRange();
    for (const text of article.querySelectorAll("pre")) {
      text.style.whiteSpace = "pre";
      lines.selectNodeContents(text);
      const width = lines.getBoundingClientRect().width;
      text.style.whiteSpace = "";
      const room = (0.98 * (text.clientWidth - 2 * parseFloat(getComputedStyle(text).paddingLeft))) / width; // paper's letters are a hair wider
      if (room < 1) lend(text.style, "fontSize", `${Math.floor(105 * Math.max(room, LEAST)) / 10}px`);
    }
    for (const table of article.querySelectorAll("table")) {
      shrink(table, table.getBoundingClientRect().width, table.parentElement.clientWidth);
    }
    for (const formula of article.querySelectorAll(".course-formula")) {
      shrink(formula.firstElementChild, formula.scrollWidth, formula.clientWidth);
    }
    for (const wide of article.querySelectorAll(".course-scroll, .course-attention")) {
      shrink(wide, Math.max(wide.scrollWidth, wide.offsetWidth), WIDTH, wide.offsetHeight);
    }
    for (const box of article.querySelectorAll(".cell_input, .output, .admonition, blockquote, table, dd")) {
      if (box.getBoundingClientRect().height < SHORT) box.classList.add("course-whole");
      undo.push(() => box.classList.remove("course-whole"));
    }
  }

  function prepare() {
    if (undo.length || !article) return;
    lend(root.dataset, "theme", "light");
    for (const fold of article.querySelectorAll("details:not([open])")) lend(fold, "open", true);
    for (const frame of article.querySelectorAll("iframe")) frame.loading = "eager";
    const sheet = document.querySelector("link[href*='course/print.css']");
    if (sheet) lend(sheet, "media", "all");
    lend(document.body.style, "width", `${WIDTH}px`);
    document.dispatchEvent(new Event("course-resize"));
    fit();
  }

  function restore() {
    for (const step of undo.reverse()) step();
    undo = [];
    document.dispatchEvent(new Event("course-resize"));
  }

  stillViews();
  window.addEventListener("beforeprint", prepare);
  window.addEventListener("afterprint", restore);
})();
