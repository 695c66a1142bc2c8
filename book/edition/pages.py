"""The pages of the edition that are not chapters: where to begin, the glossary, the bibliography."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from pybtex.backends.markdown import Backend
from pybtex.style.formatting.plain import Style

from book.edition.markdown import Plain
from book.edition.references import (
    CHAPTERS,
    GLOSSARY_BLOCK,
    References,
    bibliography_cell,
    glossary,
)

START_TEXT = Path(__file__).with_name("start.md")
FIRST = f"{CHAPTERS}index"
ONLY_ON_PAGES = ("## Three ways", "## How to read")
"""Sections of the book's first page that its notebook says in its own way."""
HEADING = re.compile(r"^(?=#{2,3} )", re.MULTILINE)
BIBLIOGRAPHY_BLOCK = re.compile(r"^```\{bibliography\}\n```$", re.MULTILINE)


def way(page: str, references: References, order: list[str], site: str | None) -> str:
    """The line under a notebook's title: its page, and the way to the others."""
    place = order.index(page)
    words = "Read this chapter as a page" if place else "Read the published book"
    parts = [f"[{words}]({site}{page}.html)"] if site else []
    for word, other in [("previous", place - 1), ("next", place + 1)]:
        if 0 < other < len(order):
            target = order[other]
            parts.append(f"{word}: [{references.titles[target]}]({references.link(page, target)})")
    if place:
        parts.append(f"[all chapters]({references.link(page, order[0])})")
    return " · ".join(parts)


def page_cells(
    text: str, page: str, references: References, order: list[str], site: str | None
) -> list[NotebookNode]:
    """A page written in Markdown as the cells of a notebook, a cell for each heading.

    The glossary gets a cell for each entry and the bibliography one for each letter, so that links can
    lead to them. The book's first page gives way to one that says how to work with the notebooks.
    """
    plain = Plain(page, references, {})
    known = {title: anchor for anchor, (_, title) in references.anchors[page].items()}
    cells = []
    if page == FIRST:
        sections = [part for part in HEADING.split(text)[1:] if not part.startswith(ONLY_ON_PAGES)]
        text = "\n".join([START_TEXT.read_text(encoding="utf-8"), *sections])
    for block in (GLOSSARY_BLOCK, BIBLIOGRAPHY_BLOCK):
        text = block.sub(lambda match: f"## \0{match[0]}\n## \0", text)
    for number, section in enumerate(HEADING.split(text)):
        if section.startswith("## \0```{glossary}"):
            for entry in glossary(section.removeprefix("## \0")):
                names = ", ".join(f"**{name}**" for name in entry.names)
                cells.append(new_markdown_cell(plain.text(f"{names}\n\n{entry.text}"), id=entry.cell))
        elif section.startswith("## \0```{bibliography}"):
            cells += _bibliography(references)
        elif content := section.removeprefix("## \0").strip():
            title = re.sub(r"^#+ |[`*]", "", content.partition("\n")[0])
            anchor = known.get(title, f"section-{number}")
            cells.append(new_markdown_cell(plain.text(content), id=anchor[:64]))
    heading, _, rest = cells[0].source.partition("\n")
    cells[0].source = "\n".join([heading, "", way(page, references, order, site), rest]).rstrip()
    return cells


def _bibliography(references: References) -> list[NotebookNode]:
    style, backend = Style(), Backend()
    entries = sorted(references.bibliography.entries.values(), key=lambda entry: entry.key.lower())
    cells = []
    for cell, group in groupby(entries, key=bibliography_cell):
        lines = [f"- {entry.text.render(backend)}" for entry in style.format_entries(list(group))]
        cells.append(new_markdown_cell("\n".join([f"## {cell[-1].upper()}", "", *lines]), id=cell))
    return cells
