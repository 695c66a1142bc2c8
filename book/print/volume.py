"""Chapters, each a PDF by Chromium, with all their objects under the numbers of one document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pypdf import PdfReader
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    IndirectObject,
    NameObject,
    NullObject,
    PdfObject,
)

from book.print import PrintError, compact

TOP = 842.0
"""The upper edge of A4, in points."""


@dataclass
class Heading:
    """An entry of an outline."""

    title: str
    page: int
    """Its page within the part, from 0."""
    top: float
    """Its height on the page, in points from below."""
    below: list[Heading] = field(default_factory=list)


@dataclass
class Part:
    """A chapter on its way into the book."""

    page: str
    """Its path in the site, without ending; empty for what stands in front of all."""
    content: bytes
    titles: list[str]
    """Its headings in their order, as the page has them: in Chromium's outline the words of a heading
    that moved to the next page come twice."""
    reader: PdfReader = field(init=False)

    def __post_init__(self) -> None:
        """Read the PDF."""
        self.reader = PdfReader(BytesIO(self.content))

    @property
    def headings(self) -> list[Heading]:
        """The chapter's outline: its title with all else below it.

        Raises:
            PrintError: there are more or fewer entries than titles.
        """
        titles = iter(self.titles)
        found = list(_headings(self.reader, self.reader.outline, titles))
        if (left := next(titles, None)) is not None:
            raise PrintError(f"{self.page}: Chromium's outline lacks the heading {left!r}")
        return found


def _headings(reader: PdfReader, outline: list[Any], titles: Iterator[str]) -> Iterator[Heading]:
    for index, entry in enumerate(outline):
        if isinstance(entry, list):
            continue
        below = outline[index + 1] if index + 1 < len(outline) else None
        number = reader.get_destination_page_number(entry) or 0
        top = float(entry.top) if entry.top is not None else TOP
        title = next(titles, None)
        if title is None:
            raise PrintError(f"Chromium's outline has an entry too many: {entry.title!r}")
        children = list(_headings(reader, below, titles)) if isinstance(below, list) else []
        yield Heading(title, number, top, children)


def dictionary(**entries: PdfObject) -> DictionaryObject:
    """A PDF dictionary; the keys are given without their slash."""
    return DictionaryObject({NameObject(f"/{key}"): value for key, value in entries.items()})


def reference(number: int) -> IndirectObject:
    """A reference to the object with this number."""
    return IndirectObject(number, 0, None)


class Volume:
    """All objects of all parts."""

    def __init__(self, parts: list[Part]) -> None:
        """Take the objects of the parts; the numbers of each begin where those of the one before end."""
        self.parts = parts
        self.objects: dict[int, PdfObject] = {}
        self.offsets: list[int] = []
        self.pages: list[list[int]] = []
        """The numbers of each part's pages."""
        for part in parts:
            offset = len(self.objects)
            self.offsets.append(offset)
            size: Any = part.reader.trailer["/Size"]
            for number in range(1, size):
                found = part.reader.get_object(number) or NullObject()
                self.objects[offset + number] = self.moved(len(self.offsets) - 1, found)
            own = [page.indirect_reference for page in part.reader.pages]
            self.pages.append([offset + one.idnum for one in own if one is not None])

    def moved(self, part: int, value: PdfObject) -> PdfObject:
        """A value of a part's PDF as it stands in the volume."""
        offset = self.offsets[part]
        return compact.renumbered(value, lambda old: old + offset)

    def add(self, value: PdfObject) -> IndirectObject:
        """Give an object the next number."""
        number = len(self.objects) + 1
        self.objects[number] = value
        return reference(number)

    def place(self, part: int, page: int, top: float) -> ArrayObject:
        """A destination: a page of a part, and the height on it."""
        sheet = reference(self.pages[part][page])
        height = FloatObject(round(min(top, TOP), 1))
        return ArrayObject([sheet, NameObject("/XYZ"), NullObject(), height, NullObject()])

    def resolved(self, value: Any) -> Any:
        """The object that a reference names; anything else as it is."""
        return self.objects[value.idnum] if isinstance(value, IndirectObject) else value

    def notes(self, page: int) -> list[Any]:
        """The annotations of the page with this number."""
        found = self.resolved(self.sheet(page).get("/Annots"))
        return list(list.__iter__(found)) if found is not None else []

    def sheet(self, page: int) -> DictionaryObject:
        """The page with this number."""
        value = self.objects[page]
        assert isinstance(value, DictionaryObject)
        return value
