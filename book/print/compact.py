"""A small PDF: objects that nothing leads to left out, equal streams once, the rest in compressed groups.

Chromium's tags are tens of thousands of small objects, written one by one. Since PDF 1.5 such objects may
stand compressed in object streams, which makes them ten times smaller (ISO 32000-1, 7.5.7 and 7.5.8).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from io import BytesIO

from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NullObject,
    NumberObject,
    PdfObject,
    StreamObject,
)

GROUP = 200
"""Objects in one object stream: enough for the compressor, few enough to read one quickly."""


def _inside(value: PdfObject) -> Iterator[PdfObject]:
    if isinstance(value, DictionaryObject):
        yield from dict.values(value)
    elif isinstance(value, ArrayObject):
        yield from list.__iter__(value)


def references(value: PdfObject) -> Iterator[IndirectObject]:
    """Every reference in a value, however deep, itself included."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, IndirectObject):
            yield one
        else:
            waiting.extend(_inside(one))


def renumbered(value: PdfObject, number: Callable[[int], int | None]) -> PdfObject:
    """A value whose references have the numbers that ``number`` gives them; those without one become null."""
    if isinstance(value, IndirectObject):
        new = number(value.idnum)
        return NullObject() if new is None else IndirectObject(new, 0, value.pdf)
    if isinstance(value, StreamObject):
        copy = StreamObject()
        copy._data = value._data
        copy.update({key: renumbered(one, number) for key, one in dict.items(value) if key != "/Length"})
        return copy
    if isinstance(value, DictionaryObject):
        return DictionaryObject({key: renumbered(one, number) for key, one in dict.items(value)})
    if isinstance(value, ArrayObject):
        return ArrayObject([renumbered(one, number) for one in list.__iter__(value)])
    return value


def _bytes(value: PdfObject) -> bytes:
    stream = BytesIO()
    value.write_to_stream(stream)
    return stream.getvalue()


def reachable(objects: dict[int, PdfObject], roots: list[int]) -> list[int]:
    """The numbers of all objects to which the roots lead, sorted."""
    seen = set(roots)
    waiting = list(roots)
    while waiting:
        for reference in references(objects[waiting.pop()]):
            if reference.idnum not in seen and reference.idnum in objects:
                seen.add(reference.idnum)
                waiting.append(reference.idnum)
    return sorted(seen)


def _once(objects: dict[int, PdfObject], kept: list[int]) -> dict[int, int]:
    """For each stream that is there before, the number of the first: in three rounds, since pictures name
    their masks, and patterns their pictures."""
    same: dict[int, int] = {}
    for _ in range(3):
        first: dict[bytes, int] = {}
        for number in kept:
            if number not in same and isinstance(objects[number], StreamObject):
                own = first.setdefault(
                    _bytes(renumbered(objects[number], lambda old: same.get(old, old))), number
                )
                if own != number:
                    same[number] = own
    return same


def written(objects: dict[int, PdfObject], root: int, info: int) -> bytes:
    """The PDF file of these objects.

    Args:
        objects: by number.
        root, info: the numbers of the catalogue and of the document's information.
    """
    kept = reachable(objects, [root, info])
    same = _once(objects, kept)
    kept = [number for number in kept if number not in same]
    numbers = {old: new for new, old in enumerate(kept, start=1)}
    numbers |= {old: numbers[first] for old, first in same.items()}

    output = BytesIO()
    output.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places: dict[int, tuple[int, int, int]] = {}
    small: list[tuple[int, bytes]] = []
    for old in kept:
        value = renumbered(objects[old], numbers.get)
        if isinstance(value, StreamObject):
            places[numbers[old]] = (1, output.tell(), 0)
            _put(output, numbers[old], value)
        else:
            small.append((numbers[old], _bytes(value)))
    following = len(kept) + 1
    for start in range(0, len(small), GROUP):
        group = small[start : start + GROUP]
        places[following] = (1, output.tell(), 0)
        places |= {number: (2, following, index) for index, (number, _) in enumerate(group)}
        _put(output, following, _group(group))
        following += 1
    _end(output, places, following, numbers[root], numbers[info])
    return output.getvalue()


def _put(output: BytesIO, number: int, value: PdfObject) -> None:
    output.write(b"%d 0 obj\n" % number + _bytes(value) + b"\nendobj\n")


def _packed(content: bytes, entries: dict[str, PdfObject]) -> StreamObject:
    stream = StreamObject()
    stream._data = zlib.compress(content, 9)
    stream.update({NameObject("/Filter"): NameObject("/FlateDecode")})
    stream.update({NameObject(key): value for key, value in entries.items()})
    return stream


def _group(group: list[tuple[int, bytes]]) -> StreamObject:
    offset, index = 0, []
    for number, content in group:
        index.append(f"{number} {offset}")
        offset += len(content) + 1
    head = " ".join(index).encode() + b"\n"
    entries: dict[str, PdfObject] = {"/Type": NameObject("/ObjStm"), "/N": NumberObject(len(group))}
    entries["/First"] = NumberObject(len(head))
    return _packed(head + b"\n".join(content for _, content in group), entries)


def _end(output: BytesIO, places: dict[int, tuple[int, int, int]], own: int, root: int, info: int) -> None:
    start = output.tell()
    places[own] = (1, start, 0)
    table = b"\0" + (0).to_bytes(4, "big") + (65535).to_bytes(2, "big")
    for number in range(1, own + 1):
        kind, place, index = places[number]
        table += bytes([kind]) + place.to_bytes(4, "big") + index.to_bytes(2, "big")
    entries: dict[str, PdfObject] = {
        "/Type": NameObject("/XRef"),
        "/Size": NumberObject(own + 1),
        "/W": ArrayObject([NumberObject(1), NumberObject(4), NumberObject(2)]),
        "/Root": IndirectObject(root, 0, None),
        "/Info": IndirectObject(info, 0, None),
    }
    _put(output, own, _packed(table, entries))
    output.write(b"startxref\n%d\n%%%%EOF\n" % start)
