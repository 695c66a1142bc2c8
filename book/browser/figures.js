/* Draws the page's plotly figures: loads the one shared script when a figure comes near, fits each
   figure to its width and to the colour theme, and ties the controls above it to what it shows. */
"use strict";
(() => {
  const source = document.currentScript.dataset.plotly;
  const NARROW = 560;
  const plots = [...document.querySelectorAll(".course-plot")];
  const figures = new Map();
  let library;

  function plotly() {
    library ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = source;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => reject(new Error(`${source} did not load`));
      document.head.append(script);
    });
    return library;
  }

  /* What depends on the theme and on the width; the rest of the layout is the author's. */
  function dress(figure, width) {
    const style = getComputedStyle(document.documentElement);
    const text = style.getPropertyValue("--pst-color-text-base").trim();
    const line = style.getPropertyValue("--pst-color-border").trim();
    const narrow = width < NARROW;
    const author = figure.author;
    const base = author.template?.layout ?? {};
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line, automargin: true };
    const font = { ...base.font, ...author.font, color: text };
    if (narrow) font.size = Math.min(font.size ?? 12, 12);
    const above = (author.annotations ?? []).some((note) => note.yref === "paper" && note.y >= 1);
    const margin = { ...base.margin, ...author.margin, t: above ? 36 : 16 };
    if (narrow) Object.assign(margin, { l: 8, r: 8, b: 8 });
    const legend = { ...base.legend, ...author.legend };
    if (narrow || legend.orientation === "h") {
      Object.assign(legend, {
        orientation: "h", x: 0, xref: "container", xanchor: "left", y: 0, yref: "container", yanchor: "bottom",
      });
    }
    return {
      template: {
        ...author.template,
        layout: {
          ...base,
          paper_bgcolor: "rgba(0,0,0,0)",
          plot_bgcolor: "rgba(0,0,0,0)",
          xaxis: { ...base.xaxis, ...axis },
          yaxis: { ...base.yaxis, ...axis },
        },
      },
      font, margin, legend,
      height: figure.height,
      autosize: true,
      dragmode: matchMedia("(pointer: coarse)").matches ? false : author.dragmode ?? "zoom",
      uirevision: "course",
    };
  }

  function read(plot) {
    const box = plot.closest(".course-figure");
    const { data, layout, frames } = JSON.parse(box.querySelector("script[type='application/json']").textContent);
    const { updatemenus = [], sliders = [], width, ...author } = layout;
    const choices = [...updatemenus.map((menu) => menu.buttons), ...sliders.map((slider) => slider.steps)];
    return { data, author, frames, choices, height: plot.clientHeight };
  }

  function draw(plot) {
    if (!figures.has(plot)) figures.set(plot, read(plot));
    const figure = figures.get(plot);
    figure.drawing ??= start(plot, figure);
    return figure.drawing;
  }

  async function start(plot, figure) {
    try {
      const Plotly = await plotly();
      const layout = { ...figure.author, ...dress(figure, plot.clientWidth) };
      await Plotly.newPlot(plot, figure.data, layout, { displayModeBar: false, responsive: false });
      if (figure.frames) await Plotly.addFrames(plot, figure.frames);
      plot.dataset.drawn = "true";
    } catch (error) {
      plot.textContent = `This figure could not be drawn: ${error.message}`;
      throw error;
    }
  }

  function redraw(plot) {
    const figure = figures.get(plot);
    if (!plot.dataset.drawn || !plot.clientWidth) return;
    window.Plotly.react(plot, plot.data, { ...plot.layout, ...dress(figure, plot.clientWidth), width: undefined });
  }

  function bind(plot) {
    const box = plot.closest(".course-figure");
    for (const control of box.querySelectorAll("[data-control]")) {
      control.addEventListener(control.type === "button" ? "click" : "input", async () => {
        await draw(plot);
        const step = figures.get(plot).choices[control.dataset.control][control.dataset.choice ?? control.value];
        const output = control.parentElement.querySelector("output");
        if (output) output.textContent = step.label;
        apply(plot, box, step);
      });
    }
  }

  function apply(plot, box, { method = "restyle", args = [] }) {
    if (method === "skip") return;
    const changes = structuredClone(args);
    const layout = method === "relayout" ? changes[0] : method === "update" ? changes[1] : undefined;
    const title = layout?.["title.text"] ?? layout?.title?.text ?? layout?.title;
    if (title !== undefined) {
      delete layout["title.text"];
      delete layout.title;
      const heading = box.querySelector(".course-figure-title");
      if (heading) heading.textContent = title;
    }
    window.Plotly[method](plot, ...changes);
  }

  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting && target.clientWidth) draw(target);
  }, { rootMargin: "600px" });
  const sized = new ResizeObserver((entries) => {
    for (const { target } of entries) requestAnimationFrame(() => redraw(target));
  });
  for (const plot of plots) {
    bind(plot);
    near.observe(plot);
    sized.observe(plot);
  }
  new MutationObserver(() => plots.forEach(redraw)).observe(document.documentElement, {
    attributeFilter: ["data-theme"],
  });

  /* Paper has another width (print.js): what can be drawn at once is. */
  document.addEventListener("course-resize", () => plots.forEach((plot) => {
    if (plot.dataset.drawn) redraw(plot);
    else if (window.Plotly && plot.clientWidth) draw(plot);
  }));

  const idle = window.requestIdleCallback ?? ((task) => setTimeout(task, 200));
  async function drawRest() {
    for (const plot of plots) {
      await new Promise((next) => idle(next));
      if (plot.clientWidth) await draw(plot);
    }
  }
  window.addEventListener("load", () => idle(drawRest));
})();
