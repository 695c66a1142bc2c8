"""Reads printed PDFs back, and the executed notebooks and built pages that they are compared with."""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pypdf import PdfReader

from book.repository import repository
from book.setup_cell import setup_source

ROOT = Path(__file__).resolve().parents[2]
FIGURE = "application/vnd.plotly.v1+json"


def squeezed(text: str) -> str:
    """A text without white space, without signs for which the machine may lack a font, and without the
    lines that have letters written from right to left, whose signs are read in another order."""
    plain = unicodedata.normalize("NFKC", text)
    lines = [
        line for line in plain.splitlines() if not {"R", "AL"} & set(map(unicodedata.bidirectional, line))
    ]
    return "".join(
        sign for sign in "".join(lines) if sign.isprintable() and not sign.isspace() and ord(sign) < 0x0250
    )


@dataclass
class Print:
    """A PDF that was read: the squeezed text of each page, and the entries of its outline."""

    reader: PdfReader
    texts: list[str]
    outline: list[tuple[int, str, int]]
    """Depth from 0, title, page from 0."""

    @classmethod
    def read(cls, path: Path) -> Print:
        """Read a PDF."""
        reader = PdfReader(path)
        texts = [squeezed(page.extract_text()) for page in reader.pages]
        return cls(reader, texts, list(_entries(reader, reader.outline, 0)))

    def chapter(self, title: str) -> list[str]:
        """The texts of the pages of the chapter with this title, squeezed."""
        tops = [(name, page) for depth, name, page in self.outline if depth == 0]
        at = [squeezed(name) for name, _ in tops].index(title)
        end = tops[at + 1][1] if at + 1 < len(tops) else len(self.texts)
        return self.texts[tops[at][1] : end]


def _entries(reader: PdfReader, outline: list[Any], depth: int) -> Iterator[tuple[int, str, int]]:
    for entry in outline:
        if isinstance(entry, list):
            yield from _entries(reader, entry, depth + 1)
        else:
            yield depth, str(entry.title), reader.get_destination_page_number(entry)


def stands(wanted: str, pages: list[str]) -> bool:
    """Whether a squeezed text stands on one of these pages, or runs on from one to the next.

    Running titles and figures may come between in the order of a page's text, so that the pages cannot
    simply be joined.
    """
    return any(_stands_from(wanted, pages, number) for number in range(len(pages)))


def _stands_from(wanted: str, pages: list[str], number: int) -> bool:
    page = pages[number]
    begun = bisect_left(range(1, len(wanted) + 1), True, key=lambda length: wanted[:length] not in page)
    if begun == len(wanted):
        return True
    return begun > 20 and number + 1 < len(pages) and _stands_from(wanted[begun:], pages, number + 1)


def notebook(page: str) -> list[dict[str, Any]]:
    """The cells of an executed chapter."""
    path = ROOT / "build" / "executed" / f"{page}.ipynb"
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def code(page: str, tag: str = "") -> list[str]:
    """The squeezed source of each code cell that is shown; only of those with the tag, where one is given.

    The build fills in the set-up cell.
    """
    setup = setup_source(repository(ROOT))
    return [
        source
        for cell in notebook(page)
        if cell["cell_type"] == "code" and "remove-cell" not in cell["metadata"].get("tags", [])
        if not tag or tag in cell["metadata"].get("tags", [])
        if (source := squeezed(setup if cell["id"] == "setup" else "".join(cell["source"])))
    ]


def figures(page: str) -> list[dict[str, Any]]:
    """The plotly figures that a chapter's cells made."""
    outputs = [output for cell in notebook(page) for output in cell.get("outputs", [])]
    return [output["data"][FIGURE] for output in outputs if FIGURE in output.get("data", {})]


def views(page: str) -> list[str]:
    """The squeezed titles of the attention views that a chapter's cells made."""
    outputs = [output for cell in notebook(page) for output in cell.get("outputs", [])]
    markup = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    found = [re.search(r'"title":"([^"]*)"', text) for text in markup if 'class="course-attention"' in text]
    return [squeezed(title[1]) for title in found if title]


def words(markup: str) -> str:
    """A plotly text, squeezed and without its tags."""
    return squeezed(re.sub(r"<[^>]*>", " ", markup))


class Headings(HTMLParser):
    """The headings of a built page: level and text, without the sign that links to them."""

    def __init__(self) -> None:
        """Begin outside the article."""
        super().__init__()
        self.found: list[tuple[int, str]] = []
        self.article = self.heading = self.sign = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where the article, a heading or its sign begins."""
        self.article = self.article or tag == "article"
        if self.article and re.fullmatch("h[1-6]", tag):
            self.heading = True
            self.found.append((int(tag[1]), ""))
        self.sign = tag == "a" and "headerlink" in (dict(attrs).get("class") or "")

    def handle_endtag(self, tag: str) -> None:
        """Note where they end."""
        if tag == "article":
            self.article = False
        elif re.fullmatch("h[1-6]", tag):
            self.heading = False
        elif tag == "a":
            self.sign = False

    def handle_data(self, data: str) -> None:
        """Keep the text of a heading."""
        if self.heading and not self.sign:
            level, text = self.found[-1]
            self.found[-1] = (level, text + data)


def headings(page: str) -> list[tuple[int, str]]:
    """The headings of a built page, texts squeezed."""
    parser = Headings()
    parser.feed((ROOT / "build" / "site" / f"{page}.html").read_text(encoding="utf-8"))
    return [(level, squeezed(text)) for level, text in parser.found]
