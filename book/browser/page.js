/* What every page needs: boxes that scroll sideways can be reached by keyboard. */
"use strict";
(() => {
  const NAMES = { "course-formula": "Formula", "course-scroll": "Figure" };

  function markScrollable() {
    for (const [name, label] of Object.entries(NAMES)) {
      for (const box of document.getElementsByClassName(name)) {
        if (box.scrollWidth > box.clientWidth + 1) {
          box.tabIndex = 0;
          box.setAttribute("role", "group");
          box.setAttribute("aria-label", `${label}, scrolls sideways`);
        } else {
          for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
        }
      }
    }
  }

  let waiting;
  new ResizeObserver(() => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(markScrollable);
  }).observe(document.body);
})();
