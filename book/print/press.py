"""Chromium as a press: it sees the built site's folder, nothing else, and prints its pages."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import BrowserContext, Page, Route, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from book.print import PrintError
from book.print.volume import Part

ORIGIN = "https://book.invalid/"
"""Where the site seems to lie, for the press only; links that still begin so lead to another page of it."""

PATIENCE = 120_000  # milliseconds for one step of one page, about twenty times what it takes
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
HERE = Path(__file__).parent

_READY = """async () => {
  document.querySelectorAll("article details").forEach((fold) => { fold.open = true; });
  const frames = [...document.querySelectorAll("article iframe")];
  frames.forEach((frame) => { frame.loading = "eager"; });
  await document.fonts.ready;
}"""
_DRAWN = """() => [...document.querySelectorAll(".course-plot")].every((plot) => plot.dataset.drawn)
  && [...document.querySelectorAll(".course-attention")].every((view) => view.dataset.drawn)
  && [...document.querySelectorAll("article iframe")].every((frame) =>
    frame.contentDocument?.querySelector("svg *, canvas"))"""
_ALONE = """(origin) => {
  for (const link of document.querySelectorAll("article a[href]")) {
    const inside = link.href.startsWith(origin) && link.href.split("#")[0] !== location.href.split("#")[0];
    if (inside) link.removeAttribute("href");
  }
}"""
_HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")]
  .filter((heading) => heading.checkVisibility())
  .map((heading) => {
    const copy = heading.cloneNode(true);
    copy.querySelectorAll(".headerlink, .katex-mathml").forEach((part) => part.remove());
    return copy.textContent.replace(/\\s+/g, " ").trim();
  })"""
_PAPER = """(style) => {
  const sheet = document.getElementById("course-paper") ?? document.createElement("style");
  sheet.id = "course-paper";
  sheet.textContent = style;
  document.head.append(sheet);
}"""


def chromium() -> str | None:
    """The browser's program: as ``COURSE_CHROMIUM`` names it, or the system's; None for playwright's own.

    Raises:
        PrintError: ``COURSE_CHROMIUM`` names no file.
    """
    named = os.environ.get("COURSE_CHROMIUM")
    if named and not (shutil.which(named) or Path(named).is_file()):
        raise PrintError(f"COURSE_CHROMIUM={named} is no program; name Chromium's, or leave it unset")
    return named or shutil.which("chromium")


def first_line(error: PlaywrightError) -> str:
    """What a browser's error says, without the log that follows it."""
    return error.message.strip().partition("\n")[0]


@contextmanager
def press(site: Path) -> Iterator[BrowserContext]:
    """A browser that asks for pages at `ORIGIN` and gets the files of ``site``; all else is refused.

    Raises:
        PrintError: Chromium is missing or does not start.
    """

    def answer(route: Route) -> None:
        address = urlsplit(route.request.url)
        file = site / unquote(address.path).lstrip("/")
        if route.request.url.startswith(ORIGIN) and file.is_file():
            route.fulfill(path=file)
        else:
            route.abort()

    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        except PlaywrightError as error:
            raise PrintError(
                "Chromium did not start; install it (Debian: apt install chromium), or set COURSE_CHROMIUM "
                f"to its program. It said: {first_line(error)}"
            ) from error
        context = browser.new_context(
            viewport={"width": 680, "height": 970}, color_scheme="light", service_workers="block"
        )
        context.set_default_timeout(PATIENCE)
        context.route("**/*", answer)
        try:
            yield context
        finally:
            browser.close()


class Sheet:
    """One page of the site, open in print media, as often printed as it has editions."""

    def __init__(self, context: BrowserContext, page: str, wanted: Iterable[str] = ()) -> None:
        """Open ``page`` and draw all that is on it.

        Args:
            context: of :func:`press`.
            page: its path in the site, without ending.
            wanted: the ids in it to which other pages link.

        Raises:
            PrintError: the page did not open, or something on it could not be drawn.
        """
        self.name = page
        self.page: Page = context.new_page()
        self.page.emulate_media(media="print", color_scheme="light")
        try:
            self.page.goto(f"{ORIGIN}{page}.html")
            self.page.evaluate(_READY)
            self.page.wait_for_function(_DRAWN)
            self.solutions: int = self.page.evaluate(
                (HERE / "edition.js").read_text(encoding="utf-8"), sorted(wanted)
            )
            self.title: str = self.page.evaluate(_HEADINGS)[0]
        except PlaywrightError as error:
            raise PrintError(f"{page} could not be prepared for print: {first_line(error)}") from error

    def part(self, style: str = "") -> Part:
        """The page in print, on A4, with its headings as outline and with tags.

        Args:
            style: of the paper: what stands in the margins, where counting begins.
        """
        self.page.evaluate(_PAPER, style)
        return Part(self.name, printed(self.page), self.page.evaluate(_HEADINGS))

    def stand_alone(self) -> None:
        """Turn links to other pages of the site, which a handout has not beside it, into plain text."""
        self.page.evaluate(_ALONE, ORIGIN)

    def close(self) -> None:
        """Give the page's memory back."""
        self.page.close()


def printed(page: Page) -> bytes:
    """A page that a browser shows, as PDF.

    Raises:
        PrintError: the browser could not print it.
    """
    try:
        return page.pdf(prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
    except PlaywrightError as error:
        raise PrintError(f"{page.url} could not be printed: {first_line(error)}") from error


def paper(left: str, right: str, number: str, *, first: int = 1, more: str = "") -> str:
    """The style of a paper: A4, words at the top from the second page on, the page's number at its foot.

    Args:
        left, right: the words.
        number: how a page is numbered, in CSS, such as ``counter(page)``.
        first: the number of the first page.
        more: further rules.
    """
    small = "font: 8pt sans-serif; color: #555"
    return f"""
    html {{ counter-reset: page {first - 1}; }}
    @page {{
      size: A4;
      @top-left {{ content: {json.dumps(left, ensure_ascii=False)}; {small} }}
      @top-right {{ content: {json.dumps(right, ensure_ascii=False)}; {small} }}
      @bottom-center {{ content: {number}; {small} }}
    }}
    @page :first {{ @top-left {{ content: ""; }} @top-right {{ content: ""; }} }}
    {more}"""
