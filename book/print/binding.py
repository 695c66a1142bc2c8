"""One book of many chapters: its links, its outline, its tags and its page numbers."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NumberObject,
    PdfObject,
    TextStringObject,
)

from book.print import PrintError, compact
from book.print.press import ORIGIN
from book.print.volume import TOP, Heading, Part, Volume, dictionary, reference


def bound(parts: list[Part], title: str, front: int) -> bytes:
    """The parts as one PDF.

    Args:
        parts: in their order.
        title: of the book.
        front: how many parts stand before the pages numbered from 1; theirs are i, ii, iii.

    Raises:
        PrintError: a link leads to a place of a part that was not printed.
    """
    volume = Volume(parts)
    link(volume)
    numbers = [number for part in volume.pages for number in part]
    kids = ArrayObject([reference(number) for number in numbers])
    tree = volume.add(dictionary(Type=NameObject("/Pages"), Kids=kids, Count=NumberObject(len(numbers))))
    for number in numbers:
        volume.sheet(number)[NameObject("/Parent")] = tree
    catalogue = dictionary(
        Type=NameObject("/Catalog"),
        Pages=tree,
        Outlines=outline(volume),
        PageMode=NameObject("/UseOutlines"),
        StructTreeRoot=tags(volume),
        MarkInfo=dictionary(Marked=BooleanObject(True)),
        ViewerPreferences=dictionary(DisplayDocTitle=BooleanObject(True)),
        PageLabels=_labels(sum(len(pages) for pages in volume.pages[:front])),
        Lang=TextStringObject("en"),
    )
    info = volume.add(dictionary(Title=TextStringObject(title)))
    return compact.written(volume.objects, volume.add(catalogue).idnum, info.idnum)


def _labels(front: int) -> DictionaryObject:
    ranges: list[PdfObject] = [NumberObject(front), dictionary(S=NameObject("/D"))]
    if front:
        ranges = [NumberObject(0), dictionary(S=NameObject("/r")), *ranges]
    return dictionary(Nums=ArrayObject(ranges))


# ---- links ----


def link(volume: Volume) -> None:
    """Let links between parts jump inside the book; those to pages that are not in it become plain text.

    Raises:
        PrintError: a link leads to a place of a part that was not printed.
    """
    places = _places(volume)
    for number, part in enumerate(volume.parts):
        for page in volume.pages[number]:
            kept = [note for note in volume.notes(page) if _relink(volume, note, part.page, places)]
            volume.sheet(page)[NameObject("/Annots")] = ArrayObject(kept)


def _places(volume: Volume) -> dict[str, ArrayObject]:
    """Where each address inside the book leads: ``page``, and ``page#id``."""
    found: dict[str, ArrayObject] = {}
    for number, part in enumerate(volume.parts):
        found[part.page] = volume.place(number, 0, TOP)
        catalogue: Any = part.reader.trailer["/Root"]
        named = catalogue.get("/Dests", DictionaryObject()).get_object()
        for key, value in named.items():
            page, _, _, top, *_ = list.__iter__(value.get_object())
            index = volume.pages[number].index(volume.offsets[number] + page.idnum)
            found[f"{part.page}#{unquote(key[1:])}"] = volume.place(number, index, float(top))
    return found


def _relink(volume: Volume, note: PdfObject, page: str, places: dict[str, ArrayObject]) -> bool:
    """Give a link its place in the book; whether it is to be kept."""
    found = volume.resolved(note)
    if "/Dest" in found:
        goal = places.get(f"{page}#{unquote(found['/Dest'][1:])}")
    else:
        address = str(volume.resolved(found.get("/A", DictionaryObject())).get("/URI", ""))
        if not address.startswith(ORIGIN):
            return True
        goal = _goal(volume, address.removeprefix(ORIGIN), page, places)
    if goal is None:
        return False
    found.pop("/A", None)
    found[NameObject("/Dest")] = goal
    return True


def _goal(volume: Volume, address: str, page: str, places: dict[str, ArrayObject]) -> ArrayObject | None:
    path, _, anchor = address.partition("#")
    if path.startswith("at/"):  # an entry of the contents
        part, sheet, top = path.removeprefix("at/").split("/")
        return volume.place(int(part), int(sheet), float(top))
    target = unquote(path).removesuffix(".html")
    goal = places.get(f"{target}#{unquote(anchor)}" if anchor else target)
    if goal is None and target in places:
        raise PrintError(f"{page} links to {target}#{anchor}, but there is no such place in print")
    return goal


# ---- outline ----


def outline(volume: Volume) -> IndirectObject:
    """The outline: the chapters, closed, with their headings below."""
    entries = [(number, heading) for number, part in enumerate(volume.parts) for heading in part.headings]
    top = dictionary(Type=NameObject("/Outlines"), Count=NumberObject(len(entries)))
    own = volume.add(top)
    _entries(volume, top, own, entries)
    return own


def _entries(
    volume: Volume, above: DictionaryObject, parent: IndirectObject, entries: list[tuple[int, Heading]]
) -> None:
    made = [DictionaryObject() for _ in entries]
    references = [volume.add(entry) for entry in made]
    for index, (part, heading) in enumerate(entries):
        place = volume.place(part, heading.page, heading.top + 4)
        entry = dictionary(Title=TextStringObject(heading.title), Parent=parent, Dest=place)
        made[index].update(entry)
        if index:
            made[index][NameObject("/Prev")] = references[index - 1]
        if index + 1 < len(made):
            made[index][NameObject("/Next")] = references[index + 1]
        if heading.below:
            _entries(volume, made[index], references[index], [(part, below) for below in heading.below])
            made[index][NameObject("/Count")] = NumberObject(-len(heading.below))
    if references:
        above.update(dictionary(First=references[0], Last=references[-1]))


# ---- tags ----


def tags(volume: Volume) -> IndirectObject:
    """One tree of tags: the parts below one document, the pages' keys into it counted on."""
    # names of PDF 2.0, said in those of 1.7
    roles = dictionary(Strong=NameObject("/Span"), Em=NameObject("/Span"))
    tree = dictionary(Type=NameObject("/StructTreeRoot"), RoleMap=roles)
    root = volume.add(tree)
    document = dictionary(Type=NameObject("/StructElem"), S=NameObject("/Document"), P=root)
    above = volume.add(document)
    chapters, keys, first = ArrayObject(), ArrayObject(), 0
    for number, part in enumerate(volume.parts):
        catalogue: Any = part.reader.trailer["/Root"]
        own = catalogue["/StructTreeRoot"]
        chapter = volume.moved(number, own.raw_get("/K"))
        volume.resolved(chapter).update(dictionary(S=NameObject("/Part"), P=above))
        chapters.append(chapter)
        pairs = list(list.__iter__(own["/ParentTree"]["/Nums"]))
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            keys.extend([NumberObject(first + int(key)), volume.moved(number, value)])
        for page in volume.pages[number]:
            _count_on(volume.sheet(page), "/StructParents", first)
            for note in volume.notes(page):
                _count_on(volume.resolved(note), "/StructParent", first)
        first += max((int(key) for key in pairs[::2]), default=-1) + 1
    document.update(dictionary(K=chapters))
    numbers = volume.add(dictionary(Nums=keys))
    tree.update(dictionary(K=above, ParentTree=numbers, ParentTreeNextKey=NumberObject(first)))
    return root


def _count_on(holder: Any, key: str, first: int) -> None:
    if key in holder:
        holder[NameObject(key)] = NumberObject(int(holder[key]) + first)
