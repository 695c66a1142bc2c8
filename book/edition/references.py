"""What the pages of the book refer to, and where a learner's notebook leads for it."""

from __future__ import annotations

import os
import pickle
import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import nbformat
from pybtex.backends.markdown import Backend
from pybtex.database import BibliographyData, Entry, parse_file
from pybtex.style.formatting.plain import Style
from sphinxcontrib.bibtex.style.referencing.basic_author_year import (
    BasicAuthorYearParentheticalReferenceStyle,
)
from sphinxcontrib.bibtex.style.template import join, year

CHAPTERS = "chapters/"
START = "00_start"
"""The first page of the edition: it stands in the place of the book's own."""
TERM_TARGET = re.compile(r"(.+?)\s*<([^<>]+)>")
GLOSSARY_BLOCK = re.compile(r"^```\{glossary\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class EditionError(ValueError):
    """A page refers to what is not there; the message names the page and the reference."""


@dataclass(frozen=True)
class Term:
    """An entry of the glossary: all its names, its text in Markdown, and the cell that holds it."""

    names: tuple[str, ...]
    text: str

    @property
    def cell(self) -> str:
        """The id of its cell in the glossary's notebook."""
        return "term-" + re.sub(r"[^a-z0-9]+", "-", self.names[0].lower()).strip("-")[:55]


@dataclass
class References:
    """All targets of a book that was built.

    Attributes:
        titles: the title of each page.
        anchors: for each page its headings' anchors, with the cell each stands in and its text. A page
            written in Markdown gets a cell for each heading, named by its anchor.
        equations: for each label the page, the number and the cell.
        terms: for each name of a term, in lower case, its entry.
        bibliography: the entries of the `.bib` files.
    """

    titles: dict[str, str] = field(default_factory=dict)
    anchors: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    equations: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    terms: dict[str, Term] = field(default_factory=dict)
    bibliography: BibliographyData = field(default_factory=BibliographyData)

    def link(self, page: str, target: str, cell: str = "") -> str:
        """The relative address of the notebook of page ``target``, seen from that of ``page``.

        Args:
            cell: the cell to scroll to, in the form that JupyterLab reads in a link to a notebook. An anchor
                alone would not do, within a page either: JupyterLab renders only the cells near the reader.
        """
        if target not in self.titles:
            raise EditionError(f"{page}: refers to the page {target!r}, which the book does not have")
        path = os.path.relpath(name(target), Path(name(page)).parent)
        return f"{path}#cell-id={cell}" if cell else path

    def heading(self, page: str, target: str, anchor: str) -> tuple[str, str]:
        """The address and the text of a heading."""
        found = self.anchors.get(target, {}).get(anchor)
        if found is None:
            raise EditionError(f"{page}: no heading of {target} has the anchor {anchor!r}")
        cell, text = found
        return self.link(page, target, cell), text

    def equation(self, page: str, label: str) -> tuple[str, str]:
        """The address and the number of an equation."""
        if label not in self.equations:
            raise EditionError(f"{page}: refers to the equation {label!r}, which has no number")
        target, number, cell = self.equations[label]
        return self.link(page, target, cell), number

    def term(self, page: str, content: str) -> tuple[str, str, Term]:
        """What is read, the address and the entry of a ``term`` role."""
        match = TERM_TARGET.fullmatch(content)
        shown, wanted = (match[1], match[2]) if match else (content, content)
        entry = self.terms.get(wanted.lower())
        if entry is None:
            raise EditionError(f"{page}: the glossary has no entry {wanted!r}")
        return shown, self.link(page, CHAPTERS + "glossary", entry.cell), entry

    @cached_property
    def _order(self) -> dict[str, int]:
        # by the style that prints the bibliography: bibtex_default_style of _config.yml
        entries = Style().sort(self.bibliography.entries.values())
        return {entry.key: place for place, entry in enumerate(entries)}

    def citations(self, page: str, keys: str) -> list[tuple[str, str, str]]:
        """Of each publication the author and the year, in Markdown, and the address of its text or entry.

        They come in the order of the bibliography, as on the site.
        """
        wanted = sorted((key.strip() for key in keys.split(",")), key=lambda key: self._order.get(key, 0))
        return [self._citation(page, key) for key in wanted]

    def _citation(self, page: str, key: str) -> tuple[str, str, str]:
        entry = self.bibliography.entries.get(key)
        if entry is None:
            raise EditionError(f"{page}: cites {key!r}, which no .bib file has")
        backend, style = Backend(), citation_style()
        data = {"entry": entry, "style": style}
        author = style.person.author_or_editor_or_title(full=False).format_data(data).render(backend)
        when = join[year].format_data(data).render(backend)
        address = entry_address(entry) or self.link(page, CHAPTERS + "bibliography", bibliography_cell(entry))
        return author, when, address


@cache
def citation_style() -> BasicAuthorYearParentheticalReferenceStyle:
    """The site's own style of citations (``bibtex_reference_style`` of ``_config.yml``)."""
    return BasicAuthorYearParentheticalReferenceStyle()


def name(page: str) -> str:
    """The file of a page in the edition: `chapters/02_tokenization` is `02_tokenization.ipynb`."""
    short = page.removeprefix(CHAPTERS)
    return f"{START if short == 'index' else short}.ipynb"


def entry_address(entry: Entry) -> str:
    """The web address of a publication, as its entry gives it; empty when it gives none."""
    fields = entry.fields
    return fields["url"] if "url" in fields else f"https://doi.org/{fields['doi']}" if "doi" in fields else ""


def bibliography_cell(entry: Entry) -> str:
    """The id of the cell of the bibliography's notebook that holds an entry: one cell for each letter."""
    return f"letter-{entry.key[0].lower()}"


def glossary(text: str) -> list[Term]:
    """The entries of the glossary's Markdown source."""
    match = GLOSSARY_BLOCK.search(text)
    entries = []
    for block in re.split(r"\n\s*\n(?=\S)", match[1].strip("\n") if match else ""):
        lines = block.splitlines()
        names = tuple(line for line in lines if line and not line[0].isspace())
        text = "\n".join(line.strip() for line in lines if line[:1].isspace() or not line)
        if names:
            entries.append(Term(names, text.strip()))
    return entries


def read_references(source: Path, doctrees: Path, bibliographies: list[Path]) -> References:
    """What a build of the site found out about its pages.

    Args:
        source: the folder that Sphinx read (``build/source``).
        doctrees: where it kept what it learned (``build/doctrees``).
        bibliographies: the ``.bib`` files.

    Raises:
        EditionError: the site has not been built.
    """
    record = doctrees / "environment.pickle"
    if not record.is_file():
        raise EditionError("the site has not been built yet; run: make site")
    environment = pickle.loads(record.read_bytes())
    found = References()
    cells: dict[str, list[Any]] = {}
    for page, title in environment.titles.items():
        found.titles[page] = title.astext()
        notebook = source / f"{page}.ipynb"
        cells[page] = nbformat.read(notebook, as_version=4).cells if notebook.is_file() else []
        slugs = environment.metadata[page].get("myst_slugs", {})
        found.anchors[page] = {
            slug: (_cell_of_line(cells[page], line) or slug, text) for slug, (line, _, text) in slugs.items()
        }
    for label, (page, _) in environment.domaindata["math"]["objects"].items():
        number = ".".join(map(str, environment.toc_fignumbers[page]["displaymath"][f"equation-{label}"]))
        holder = next((cell.id for cell in cells[page] if f"({label})" in cell.source), "")
        found.equations[label] = (page, number, holder)
    words = source / CHAPTERS / "glossary.md"
    for entry in glossary(words.read_text(encoding="utf-8") if words.is_file() else ""):
        found.terms.update(dict.fromkeys(map(str.lower, entry.names), entry))
    for path in bibliographies:
        found.bibliography.add_entries(parse_file(str(path)).entries.items())
    return found


def _cell_of_line(cells: list[Any], line: int | None) -> str:
    # myst-nb counts the lines of cell i from 10,000 (i + 1)
    place = (line or 0) // 10_000 - 1
    return cells[place].id if 0 <= place < len(cells) else ""
