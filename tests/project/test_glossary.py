"""The glossary and the chapters agree: every term is defined, and linked where a chapter first names it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

CHAPTERS = Path(__file__).parents[2] / "chapters"
GLOSSARY = CHAPTERS / "glossary.md"
NOTEBOOKS = sorted(CHAPTERS.rglob("*.ipynb"))

# Names with another, everyday sense, or with many senses: a person links them where the sense is right.
AMBIGUOUS = {
    "baseline", "calibrated", "cosine", "decoding", "frozen", "intermediate result", "key", "label", "layer",
    "leak", "mlp", "pipeline", "precision", "query", "recall", "revision", "span", "split", "step", "stride",
    "value", "weight", "window",
}  # fmt: skip

# Terms that the whole book is made of: linked in the first two chapters that name them, not in every one.
COMMON = {
    "accuracy", "attention", "batch", "block", "checkpoint", "decoder", "encoder", "epoch", "gradient", "head",
    "loss", "parameter", "seed", "special token", "tensor", "token", "tokenizer", "vocabulary",
}  # fmt: skip

# (chapter, term): the chapter's only use of the name is another sense of it.
OTHER_SENSE: set[tuple[str, str]] = set()


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
SEARCHED = sorted(
    (name for name in ENTRY_OF if name not in AMBIGUOUS and re.fullmatch(r"[\w' -]+", name) and "_" not in name),
    key=len,
    reverse=True,
)
_NAMES = "|".join(re.escape(name).replace(r"\ ", r"\s") for name in SEARCHED)
NAME = re.compile(rf"(?<![\w\-/.])(?:{_NAMES})(?:e?s)?(?![\w\-/])", re.IGNORECASE)
TERM = re.compile(r"\{term\}`(?:[^`<]*<)?([^`<>]+)>?`")

# Where a name is no prose: code, mathematics, roles, links, headings, tables, quotations, costs.
HIDDEN = re.compile(
    r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)|\{[\w:]+\}`[^`]+`|\[[^\]]*\]\([^)]*\)"
    r"|^\#.*?$|^\s*\|.*?$|^>.*?$|^:::.*?$|^\*\*Measured on.*?(?:\n\n|\Z)|<[^>\n]+>",
    re.MULTILINE | re.DOTALL,
)
EMPHASIS = re.compile(r"\*\*(?P<bold>[^*]+?)\*\*|(?<![*\w])\*(?P<italic>[^*]+?)\*(?![*\w])", re.DOTALL)


def prose(source: str) -> str:
    """The text of a cell, as long as before, with everything blanked out that is no running prose.

    Bold and italic passages are blanked as well (catchwords, words quoted from a text), unless they
    consist of one term, as where a chapter introduces it.
    """

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", "\x00", match[0])

    def emphasis(match: re.Match[str]) -> str:
        inner = match["bold"] or match["italic"]
        return match[0] if NAME.fullmatch(inner) else blank(match)

    return EMPHASIS.sub(emphasis, HIDDEN.sub(blank, source))


def uses(cells: list[nbformat.NotebookNode]) -> Iterator[Use]:
    """Each use of a glossary term in a notebook's prose, in reading order; exercises are left out."""
    exercises = False
    for number, cell in enumerate(cells):
        if cell.cell_type != "markdown":
            continue
        hidden = prose(cell.source)
        found = [(m.start(), m.end(), m[1], True) for m in TERM.finditer(cell.source)]
        found += [(m.start(), m.end(), m[0], False) for m in NAME.finditer(hidden)]
        headings = [(m.start(), m[1]) for m in re.finditer(r"^## (.*)$", cell.source, re.MULTILINE)]
        for start, end, name, linked in sorted(found + [(at, -1, title, False) for at, title in headings]):
            if end == -1:
                exercises = name.startswith("Exercises")
            elif not exercises and (entry := entry_of(name)):
                yield Use(number, start, end, entry, linked)


def entry_of(name: str) -> str | None:
    """The entry that defines a name, also when the name is in the plural or at the start of a sentence."""
    name = re.sub(r"\s+", " ", name.casefold())
    return next((ENTRY_OF[n] for n in (name, name.removesuffix("s"), name.removesuffix("es")) if n in ENTRY_OF), None)


def chapter_name(path: Path) -> str:
    return path.relative_to(CHAPTERS).with_suffix("").as_posix()


def named_in(path: Path) -> list[Use]:
    return list(uses(nbformat.read(path, as_version=4).cells))


def exempt(chapter: str, entry: str) -> bool:
    """Whether the chapter need not link the term: another sense, or a word that two chapters linked before."""
    if (chapter, entry) in OTHER_SENSE:
        return True
    if entry not in COMMON:
        return False
    naming = [chapter_name(p) for p in NOTEBOOKS if any(use.entry == entry for use in named_in(p))]
    return chapter not in naming[:2]


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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=chapter_name)
def test_every_linked_term_is_in_the_glossary(path):
    sources = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    linked = [re.sub(r"\s+", " ", name) for source in sources for name in TERM.findall(source)]
    assert [name for name in linked if name.casefold() not in ENTRY_OF] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=chapter_name)
def test_a_term_is_linked_where_a_chapter_first_names_it(path):
    first: dict[str, Use] = {}
    for use in named_in(path):
        first.setdefault(use.entry, use)
    missing = [entry for entry, use in first.items() if not use.linked and not exempt(chapter_name(path), entry)]
    assert missing == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=chapter_name)
def test_a_term_is_linked_once_a_chapter(path):
    linked = [use.entry for use in named_in(path) if use.linked]
    assert len(linked) == len(set(linked)), sorted({name for name in linked if linked.count(name) > 1})
