"""The glossary and the chapters agree: every term is defined, and linked where a chapter first names it."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

CHAPTERS = Path(__file__).parents[2] / "chapters"
GLOSSARY = CHAPTERS / "glossary.md"
NOTEBOOKS = sorted(CHAPTERS.rglob("*.ipynb"))

# Names with another, everyday sense, or with many senses: a person links them where the sense is right.
AMBIGUOUS = {
    "baseline", "calibrated", "cosine", "decoding", "entity", "frozen", "intermediate result", "key", "label",
    "layer", "leak", "pipeline", "precision", "query", "recall", "revision", "span", "split", "step", "stride",
    "value", "weight", "window",
}  # fmt: skip

# Terms that the whole book is made of: linked in the first two chapters that name them, not in every one.
COMMON = {
    "accuracy", "activation", "AdamW", "attention", "batch", "block", "checkpoint", "decoder", "dropout",
    "embedding", "encoder", "epoch", "fine-tuning", "float32", "gradient", "head", "learning rate", "logit",
    "loss", "optimizer", "padding", "parameter", "pre-training", "softmax", "special token", "tensor", "token",
    "tokenizer", "Transformer", "validation", "vocabulary",
}  # fmt: skip

# Phrases in which such a word means something else.
EVERYDAY = (
    r"in your head|not the whole\sloss|block\sof\smemory|[Ll]ook\sfor\s(?:the\sblue\s)?blocks|blue\sblocks"
    r"|through\sit\sin\sblocks|library\scheckpoints|into\sblocks\sof"
)


class Entry(NamedTuple):
    names: list[str]
    text: str


class Use(NamedTuple):
    cell: int
    start: int
    end: int
    entry: str
    linked: bool


def glossary(text: str) -> list[Entry]:
    """The entries of the glossary directive: the lines of names, and the definition below them."""
    body = re.search(r"^```\{glossary\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert body
    entries = []
    for block in body[1].strip().split("\n\n"):
        lines = block.split("\n")
        names = [plain(line) for line in lines if not line.startswith(" ")]
        entries.append(Entry(names, " ".join(line.strip() for line in lines if line.startswith(" "))))
    return entries


def plain(name: str) -> str:
    """A name as the page's link targets have it: without the marks of code and mathematics."""
    return name.strip("`$")


ENTRIES = glossary(GLOSSARY.read_text(encoding="utf-8"))
ENTRY_OF = {name.casefold(): entry.names[0] for entry in ENTRIES for name in entry.names}


def pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Finds the names as words, the longest first, also in the plural and with a capital at the beginning."""
    found = [name for name in names if re.fullmatch(r"[A-Za-z0-9' %-]+", name)]
    words = [re.escape(name).replace(r"\ ", r"\s") for name in sorted(found, key=len, reverse=True)]
    either = [f"[{word[0].upper()}{word[0]}]{word[1:]}" if word[0].islower() else word for word in words]
    return re.compile(rf"(?<![\w\-/.])(?:{'|'.join(either)})(?:e?s)?(?![\w\-/])")


ANY_NAME = pattern(name for entry in ENTRIES for name in entry.names)
NAME = pattern(name for entry in ENTRIES for name in entry.names if name not in AMBIGUOUS)
TERM = re.compile(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`")

# What is no running prose: code, mathematics, roles, links, headings, tables, quotations, costs.
HIDDEN = re.compile(
    rf"{EVERYDAY}|"
    r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)|\{[\w:]+\}`[^`]+`|\[[^\]]*\]\([^)]*\)"
    r"|^\#.*?$|^\s*\|.*?$|^>.*?$|^:::.*?$|^\*\*Measured on.*?(?:\n\n|\Z)|<[^>\n]+>",
    re.MULTILINE | re.DOTALL,
)
EMPHASIS = re.compile(r"(?P<marks>\*\*|(?<![*\w])\*)(?P<inner>[^*]+?)(?P=marks)(?![*\w])", re.DOTALL)


def blank(match: re.Match[str]) -> str:
    """As many places, and nothing in them; lines stay lines."""
    return re.sub(r"[^\n]", "\x00", match[0])


def names_in(source: str) -> Iterator[tuple[int, int, str]]:
    """The names in the running prose of a cell, each with its place.

    Bold and italic passages do not count (catchwords, words quoted from a text), unless they consist of
    one name, as where a chapter introduces it. In bold even an ambiguous word is such a name.
    """

    def emphasis(match: re.Match[str]) -> str:
        inner = match["inner"].rstrip(".:,")
        kept = (ANY_NAME if match["marks"] == "**" else NAME).fullmatch(inner)
        if kept:
            places.append((match.start("inner"), match.start("inner") + len(inner), inner))
        return blank(match)

    places: list[tuple[int, int, str]] = []
    text = EMPHASIS.sub(emphasis, HIDDEN.sub(blank, source))
    return iter(sorted(places + [(m.start(), m.end(), m[0]) for m in NAME.finditer(text)]))


def uses(cells: list[nbformat.NotebookNode]) -> Iterator[Use]:
    """Each use of a glossary term in a notebook's prose, in reading order; exercises are left out."""
    exercises = False
    for number, cell in enumerate(cells):
        if cell.cell_type != "markdown":
            continue
        found = [(m.start(), m.end(), m[1], True) for m in TERM.finditer(cell.source)]
        found += [(start, end, name, False) for start, end, name in names_in(cell.source)]
        headings = [(m.start(), m[1]) for m in re.finditer(r"^## (.*)$", cell.source, re.MULTILINE)]
        for start, end, name, linked in sorted(found + [(at, -1, title, False) for at, title in headings]):
            if end == -1:
                exercises = name.startswith("Exercises")
            elif not exercises and (entry := entry_of(name)):
                yield Use(number, start, end, entry, linked)


def entry_of(name: str) -> str | None:
    """The entry that defines a name, also when the name is in the plural or at the start of a sentence."""
    name = re.sub(r"\s+", " ", name.casefold())
    return next(
        (ENTRY_OF[n] for n in (name, name.removesuffix("s"), name.removesuffix("es")) if n in ENTRY_OF), None
    )


def chapter_name(path: Path) -> str:
    return path.relative_to(CHAPTERS).with_suffix("").as_posix()


@cache
def named_in(path: Path) -> list[Use]:
    """The uses of all terms in a notebook."""
    return list(uses(nbformat.read(path, as_version=4).cells))


def exempt(chapter: str, entry: str) -> bool:
    """Whether the chapter need not link the term: a word of the whole book that two chapters linked before."""
    return entry in COMMON and chapter not in naming(entry)[:2]


def naming(entry: str) -> list[str]:
    """The chapters that name a term, in reading order."""
    return [chapter_name(path) for path in NOTEBOOKS if any(use.entry == entry for use in named_in(path))]


def sort_key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", re.sub(r"\\\w+|[{}]", "", name).casefold()).strip()


def test_the_entries_stand_in_alphabetical_order():
    order = [sort_key(entry.names[0]) for entry in ENTRIES]
    assert order == sorted(order)


def test_no_name_is_defined_twice():
    names = [name.casefold() for entry in ENTRIES for name in entry.names]
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.names[0])
def test_an_entry_is_short_and_leads_to_a_chapter_that_exists(entry):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", entry.text)
    assert targets
    assert [target for target in targets if not (CHAPTERS / target).is_file()] == []
    said = re.sub(r"\(?\[[^\]]*\]\([^)]*\)\)?|\bSee\b", "", entry.text)
    assert 5 <= len(said.split()) <= 60


def linked_in(path: Path) -> list[str]:
    """The targets of all links to the glossary in a notebook's prose."""
    sources = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown"]
    return [re.sub(r"\s+", " ", name.casefold()) for source in sources for name in TERM.findall(source)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=chapter_name)
def test_every_linked_term_is_in_the_glossary(path):
    assert [name for name in linked_in(path) if name not in ENTRY_OF] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=chapter_name)
def test_a_term_is_linked_where_a_chapter_first_names_it(path):
    first: dict[str, Use] = {}
    for use in named_in(path):
        first.setdefault(use.entry, use)
    chapter = chapter_name(path)
    assert [entry for entry, use in first.items() if not use.linked and not exempt(chapter, entry)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=chapter_name)
def test_a_name_is_linked_once_a_chapter(path):
    linked = linked_in(path)
    assert {name for name in linked if linked.count(name) > 1} == set()
