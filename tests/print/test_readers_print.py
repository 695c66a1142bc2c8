"""What a reader gets who prints a page of the site: Ctrl+P, from a dark screen, with folds closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page
from reading import ROOT, Print, code, figures, headings, stands, words

from book.print.press import ORIGIN, press

SITE = ROOT / "build" / "site"
PAPER = 680  # CSS pixels between the margins of A4
CHAPTER = "chapters/08_fine_tuning"

DRAWN = """() => [...document.querySelectorAll(".course-plot")].every((plot) => plot.dataset.drawn
  || !plot.clientWidth)"""

SEEN = """() => {
  const style = (element) => getComputedStyle(element);
  return {
    theme: document.documentElement.dataset.theme,
    back: style(document.body).backgroundColor,
    folds: document.querySelectorAll("article details:not([open])").length,
    width: document.querySelector(".course-plot").clientWidth,
    zoomed: document.querySelectorAll("article [style*=zoom]").length,
    height: document.documentElement.scrollHeight,
  };
}"""

OUTSIDE = """(width) => {
  dispatchEvent(new Event("beforeprint"));
  const left = document.querySelector("article").getBoundingClientRect().left;
  const boxes = [...document.querySelectorAll("article *")].filter((element) => {
    if (element.closest(".katex-mathml, svg, [hidden], script, noscript")) return false;
    const box = element.getBoundingClientRect();
    return box.width && box.height && (box.right > left + width + 1 || box.left < left - 1);
  });
  const texts = [...document.querySelectorAll(".course-plot")].flatMap((plot) => {
    const paper = plot.getBoundingClientRect();
    return [...plot.querySelectorAll("svg text")].filter((text) => {
      const box = text.getBoundingClientRect();
      return box.width && (box.right > paper.right + 2 || box.left < paper.left - 2);
    });
  });
  const frames = [...document.querySelectorAll("article iframe")].filter((frame) => {
    const inside = frame.contentDocument.documentElement;
    return inside.scrollWidth > frame.clientWidth + 2 || inside.scrollHeight > frame.clientHeight + 2;
  });
  const found = [...boxes, ...texts, ...frames].map((element) => `${element.tagName}: ${element.textContent.slice(0, 60)}`);
  dispatchEvent(new Event("afterprint"));
  return found;
}"""


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    """A browser that sees the site's folder only."""
    with press(SITE) as context:
        yield context


def opened(context: BrowserContext, name: str) -> Page:
    """A page on a dark screen, its visible figures drawn."""
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(media="screen", color_scheme="dark")
    page.goto(f"{ORIGIN}{name}.html")
    page.wait_for_function(DRAWN)
    return page


def test_a_printed_page_has_all_its_code_and_figures(context: BrowserContext, tmp_path: Path) -> None:
    page = opened(context, CHAPTER)
    page.pdf(path=tmp_path / "page.pdf", format="A4", outline=True, tagged=True)
    page.close()
    printed = Print.read(tmp_path / "page.pdf")
    pages = printed.chapter(headings(CHAPTER)[0][1])
    assert [source for source in code(CHAPTER) if not stands(source, pages)] == []
    for figure in figures(CHAPTER):
        title = words(figure["layout"]["title"]["text"])
        assert any(title in text for text in pages), title


def test_a_page_is_light_and_open_while_it_is_printed_and_as_before_afterwards(
    context: BrowserContext,
) -> None:
    page = opened(context, CHAPTER)
    before = page.evaluate(SEEN)
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    during = page.evaluate(SEEN)
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    after = page.evaluate(SEEN)
    page.close()
    assert before["theme"] == "dark"
    assert before["folds"] > 0
    assert during["theme"] == "light"
    assert during["back"] == "rgb(255, 255, 255)"
    assert during["folds"] == 0
    assert during["width"] != before["width"]
    assert after == before


@pytest.mark.parametrize("name", [CHAPTER, "chapters/04_attention", "chapters/11_efficiency"])
def test_nothing_sticks_out_of_the_paper(context: BrowserContext, name: str) -> None:
    page = opened(context, name)
    outside = page.evaluate(OUTSIDE, PAPER)
    page.close()
    assert outside == []
