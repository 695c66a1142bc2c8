"""One visit of a page by a reader who scrolls to its end and opens what is folded; what was seen."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "site"

OPEN_AND_SCROLL = """async () => {
  document.querySelectorAll("details").forEach((box) => { box.open = true; });
  document.querySelectorAll("button.toggle-button-hidden").forEach((button) => button.click());
  const drawn = () => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
  const soon = () => new Promise((next) => setTimeout(next, 1000));
  const step = innerHeight;
  for (let y = 0; y < document.documentElement.scrollHeight; y += step) {
    scrollTo(0, y);
    await Promise.race([drawn(), soon()]);
  }
  scrollTo(0, 0);
  await document.fonts.ready;
}"""

ALL_DRAWN = """() => [...document.querySelectorAll(".course-plot")].every((plot) => plot.dataset.drawn)"""

FRAMES_DRAWN = """() => [...document.querySelectorAll("article iframe")].every((frame) => {
  const inside = frame.contentDocument;
  return inside && (inside.querySelector("svg *") || inside.querySelector("canvas"));
})"""

FIGURES = """() => [...document.querySelectorAll(".course-figure")].map((box) => {
  const plot = box.querySelector(".course-plot");
  const layers = [...plot.querySelectorAll(".heatmaplayer image, .imagelayer image")];
  return {
    json: box.querySelector("script[type='application/json']").textContent,
    label: plot.getAttribute("aria-label"),
    declared: parseFloat(plot.style.height),
    height: plot.getBoundingClientRect().height,
    sideways: box.scrollWidth - box.clientWidth,
    colour: [...plot.querySelectorAll(".xtick text, .ytick text, .legendtext, .annotation-text")]
      .map((text) => getComputedStyle(text).fill)[0] ?? null,
    points: plot.querySelectorAll(".scatterlayer .points path").length,
    lines: plot.querySelectorAll(".scatterlayer path.js-line").length,
    bars: plot.querySelectorAll(".barlayer .point path").length,
    boxes: plot.querySelectorAll(".boxlayer path.box").length,
    violins: plot.querySelectorAll(".violinlayer path.violin").length,
    slices: plot.querySelectorAll(".pielayer .slice").length,
    images: layers.filter((image) => image.getBoundingClientRect().width > 1).length,
    cut: [...plot.querySelectorAll("svg text")].filter((text) => {
      const [inner, outer] = [text.getBoundingClientRect(), plot.getBoundingClientRect()];
      return inner.width > 0 && (inner.left < outer.left - 2 || inner.right > outer.right + 2
        || inner.top < outer.top - 2 || inner.bottom > outer.bottom + 2);
    }).map((text) => text.textContent),
    cells: (plot.calcdata ?? []).map((trace) => trace[0]?.trace?.visible === true && trace[0].z
      ? [trace[0].z.length, trace[0].z[0].length] : null).filter(Boolean),
  };
})"""

FRAMES = """() => [...document.querySelectorAll("article iframe")].map((frame) => {
  const drawing = frame.contentDocument.querySelectorAll("svg *").length;
  const canvas = frame.contentDocument.querySelectorAll("canvas").length;
  return { title: frame.title, drawing, canvas, wide: frame.getBoundingClientRect().right > innerWidth + 1 };
})"""

VIEWS = """() => [...document.querySelectorAll(".course-attention")].map((host) => {
  const inside = host.shadowRoot;
  const canvas = inside?.querySelector("canvas");
  const pixels = canvas?.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data ?? [];
  return {
    drawn: host.dataset.drawn ?? null,
    title: inside?.querySelector("[data-part=title]")?.textContent,
    heads: inside?.querySelectorAll("[data-part=heads] button").length,
    shades: new Set(pixels.filter((_, index) => index % 4 === 0)).size,
    cells: inside?.querySelectorAll("[data-drawing=matrix] > rect[fill^=rgb]").length,
    tokens: inside?.querySelectorAll(".token").length,
    wide: host.getBoundingClientRect().right > innerWidth + 1,
    colour: getComputedStyle(host).color,
  };
})"""

MATHS = r"""() => {
  const boxes = [...document.querySelectorAll("article .math")];
  const drawn = boxes.filter((box) => {
    const shape = box.querySelector(".katex-html")?.getBoundingClientRect();
    return shape && shape.width > 0 && shape.height > 0;
  });
  const wrong = document.querySelectorAll(".katex-error, .katex [style*='cc0000'], article mjx-container").length;
  const walker = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
  const raw = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest("pre, code, script, noscript, style, svg, annotation, .course-plot")) continue;
    if (/\$[^$\n]+\$|\\\(|\\\[|\\begin\{|\\frac|\\sqrt/.test(node.data)) raw.push(node.data.trim());
  }
  const font = [...document.fonts].some((face) => face.family.includes("KaTeX") && face.status === "loaded");
  return { nodes: boxes.length, drawn: drawn.length, wrong, raw, font };
}"""

PICTURES = """() => [...document.querySelectorAll("img")].map((image) => ({
  source: image.getAttribute("src").slice(0, 80), alt: image.getAttribute("alt"),
  drawn: image.complete && image.naturalWidth > 0, inText: !!image.closest("article"),
}))"""

# Large drawings only: the checker takes long over thousands of strokes, and judges none of them.
EMPTY_DRAWINGS = """() => [...document.querySelectorAll("svg")]
  .filter((drawing) => drawing.querySelectorAll("*").length > 200)
  .forEach((drawing) => drawing.replaceChildren())"""

# Of each kind of token in code three stand for all: the checker weighs the contrast of every one of thousands.
FEW_TOKENS = """() => {
  const met = new Map();
  for (const token of document.querySelectorAll(".highlight pre span[class]")) {
    const times = (met.get(token.className) ?? 0) + 1;
    met.set(token.className, times);
    if (times > 3) token.replaceWith(...token.childNodes);
  }
  document.querySelectorAll(".highlight pre").forEach((code) => code.normalize());
}"""

CHECK = """() => axe.run(document, { resultTypes: ["violations"] })"""

CUT = """() => [...document.querySelectorAll("div.cell_input pre, div.cell_output pre")]
  .filter((text) => text.scrollWidth > text.clientWidth + 1).map((text) => text.textContent.slice(0, 80))"""

CROWDED = """() => {
  const box = (cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    return range.getBoundingClientRect();
  };
  const pairs = [...document.querySelectorAll("div.cell_output table tr")].flatMap((row) =>
    [...row.cells].slice(1).map((cell, before) => [row.cells[before], cell]));
  return pairs.filter(([left, right]) => left.textContent.trim() && right.textContent.trim()
    && box(right).left - box(left).right < 8).map((pair) => pair.map((cell) => cell.textContent));
}"""

LOOKS = """() => {
  const cells = [...document.querySelectorAll("div.cell_output table :is(td, tbody th)")];
  return [...new Set(cells.map((cell) => {
    const { padding, borderWidth, fontSize } = getComputedStyle(cell);
    const heads = [...cell.closest("table").querySelectorAll("thead tr")];
    const grounds = new Set(heads.map((row) => getComputedStyle(row).backgroundColor));
    return [padding, borderWidth, fontSize, ...grounds].join(" | ");
  }))];
}"""

SIDEWAYS = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""

WIDEST = """() => [...document.querySelectorAll("main *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .slice(0, 5).map((element) => element.outerHTML.slice(0, 120))"""


@dataclass
class Visit:
    """What was seen on a page at a width and in a theme."""

    page: str
    theme: str = ""
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    received: int = 0
    figures: list[dict[str, Any]] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[dict[str, Any]] = field(default_factory=list)
    maths: dict[str, Any] = field(default_factory=dict)
    sideways: int = 0
    cut: list[str] = field(default_factory=list)
    crowded: list[list[str]] = field(default_factory=list)
    looks: list[str] = field(default_factory=list)
    widest: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


def visit_page(browser: Browser, address: str, name: str, width: int, theme: str, axe: str) -> Visit:
    """Open a page with an empty cache, read it to its end, and write down what was seen.

    Args:
        browser: a running browser.
        address: of the site, with a slash at its end.
        name: of the page, without ending.
        width: of the window, in pixels.
        theme: ``light`` or ``dark``, as the system asks for it.
        axe: the accessibility checker's source; empty to leave it out.
    """
    seen = Visit(name)
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: _note_request(seen, address, request.url))
    page.on("requestfailed", lambda request: seen.failed.append(request.url))
    page.on(
        "response", lambda reply: seen.failed.append(f"{reply.status} {reply.url}") if not reply.ok else None
    )
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    served: set[str] = set()  # frames with their content inside the page finish loading too: not counted
    network.on("Network.responseReceived", lambda event: _note_served(served, address, event))
    network.on("Network.loadingFinished", lambda event: _note_bytes(seen, served, event))
    page.goto(f"{address}{name}.html", wait_until="load")
    page.evaluate(OPEN_AND_SCROLL)
    _wait(page, ALL_DRAWN)
    _wait(page, FRAMES_DRAWN)
    page.wait_for_load_state("networkidle")
    seen.theme = page.evaluate("() => document.documentElement.dataset.theme")
    seen.figures = page.evaluate(FIGURES)
    seen.frames = page.evaluate(FRAMES)
    seen.views = page.evaluate(VIEWS)
    seen.pictures = page.evaluate(PICTURES)
    seen.maths = page.evaluate(MATHS)
    seen.sideways = page.evaluate(SIDEWAYS)
    seen.cut = page.evaluate(CUT)
    seen.crowded = page.evaluate(CROWDED)
    seen.looks = page.evaluate(LOOKS)
    seen.widest = page.evaluate(WIDEST) if seen.sideways else []
    if axe:
        seen.violations = _violations(page, axe)
    context.close()
    return seen


def _wait(page: Page, condition: str) -> None:
    """Give the page time for what it still draws; what is missing afterwards, the tests report."""
    page.evaluate(
        f"""async () => {{
          const ready = {condition};
          const end = performance.now() + 15000;
          while (!ready() && performance.now() < end) await new Promise((next) => setTimeout(next, 50));
        }}"""
    )


def _note_request(seen: Visit, address: str, url: str) -> None:
    if not url.startswith((address, "data:", "blob:", "about:")):
        seen.outside.append(url)
    seen.requested.append(url.removeprefix(address))


def _note_served(served: set[str], address: str, event: dict[str, Any]) -> None:
    if event["response"]["url"].startswith(address):
        served.add(event["requestId"])


def _note_bytes(seen: Visit, served: set[str], event: dict[str, Any]) -> None:
    if event["requestId"] in served:
        seen.received += int(event["encodedDataLength"])


def _violations(page: Page, axe: str) -> list[str]:
    page.evaluate(FEW_TOKENS)
    for frame in page.frames:
        frame.evaluate(EMPTY_DRAWINGS)
        frame.evaluate(f"() => {{ {axe} }}")
    report = page.evaluate(CHECK)
    return [
        f"{rule['impact']}: {rule['id']}: {node['target']} {node['html'][:140]}"
        for rule in report["violations"]
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def values(array: Any) -> np.ndarray:
    """A plotly array, given as a list or as base64 with its dtype, as numpy sees it."""
    if isinstance(array, dict):
        flat = np.frombuffer(base64.b64decode(array["bdata"]), dtype=np.dtype(array["dtype"]))
        shape = str(array.get("shape", flat.size))
        return flat.reshape([int(part) for part in shape.split(",")])
    return np.array([np.nan if value is None else value for value in array], dtype=object)


def is_there(array: Any) -> np.ndarray:
    """For each element of a plotly array, whether it holds a value."""
    return np.array([value is not None and value == value for value in values(array)], dtype=bool)


def expected_marks(figure: dict[str, Any]) -> dict[str, Any]:
    """How many marks a figure's data ask for, counted from its JSON alone.

    Raises:
        ValueError: a kind of trace for which there is no rule here.
    """
    marks: dict[str, Any] = {
        "points": 0,
        "lines": 0,
        "bars": 0,
        "boxes": 0,
        "violins": 0,
        "slices": 0,
        "cells": [],
    }
    for trace in json.loads(figure["json"])["data"]:
        kind = trace.get("type", "scatter")
        if trace.get("visible", True) is not True:
            continue
        if kind == "scatter":
            present = _present(trace)
            mode = trace.get("mode", "lines+markers" if present.sum() < 20 else "lines")
            marks["points"] += int(present.sum()) if "markers" in mode else 0
            marks["lines"] += _runs(present, trace.get("connectgaps", False)) if "lines" in mode else 0
        elif kind == "bar":
            marks["bars"] += int(_present(trace).sum())
        elif kind == "heatmap":
            grid = trace["z"]
            rows = values(grid) if isinstance(grid, dict) else grid
            marks["cells"].append([len(rows), len(rows[0])])
        elif kind in {"box", "violin"}:
            marks["boxes" if kind == "box" else "violins"] += 1
        elif kind == "histogram":
            marks["bars"] = marks["bars"] or 1
        elif kind == "pie":
            marks["slices"] += int(is_there(trace["values"]).sum())
        else:
            raise ValueError(f"no rule counts the marks of a {kind!r} trace")
    return marks


def _present(trace: dict[str, Any]) -> np.ndarray:
    """For each point of a trace, whether all its coordinates are there."""
    sides = [is_there(trace[side]) for side in ("x", "y") if side in trace]
    length = min(len(side) for side in sides)
    return np.logical_and.reduce([side[:length] for side in sides])


def _runs(present: np.ndarray, connected: bool) -> int:
    """How many strokes a line has: a gap in its points ends one, and a lone point has none."""
    if connected:
        return int(present.sum() > 1)
    return sum(len(run) > 1 for run in "".join("x" if here else " " for here in present).split())
