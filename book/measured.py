"""The page *Measured*: what the notebooks recorded when they were executed, put into its tables by the build.

A line `<!-- measured: costs -->` of a Markdown page becomes the table of the chapters' times and memory,
`<!-- measured: versions -->` what computed them, and `<!-- measured: figures -->` the headline figures of
`headlines.yml`, each beside a published one.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml

from book.execute import build_folder, chapter_notebooks, glued

HEADLINES = Path(__file__).with_name("headlines.yml")
MARK = re.compile(r"^<!-- measured: (\w+) -->$", re.MULTILINE)
SEEDS = re.compile(r"(?:manual_seed|Random|default_rng|set_seed)\((\d+)\)|(?:seed|random_state)=(\d+)\b")


class MeasuredError(ValueError):
    """A figure was promised that no notebook recorded; the message names it."""


@dataclass(frozen=True)
class Executed:
    """What one executed chapter recorded."""

    page: str
    title: str
    values: dict[str, str]
    """What the notebook glued, by name."""
    seeds: list[int]
    """The seeds that stand in its code, in order of size."""


def executed_chapters(root: Path) -> list[Executed]:
    """The executed chapters in reading order."""
    chapters = []
    for path in chapter_notebooks(root):
        notebook = nbformat.read(build_folder(root) / "executed" / path, as_version=4)
        code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        heading = next(cell.source for cell in notebook.cells if cell.source.startswith("# "))
        chapters.append(
            Executed(
                page=path.with_suffix("").as_posix(),
                title=heading.splitlines()[0].removeprefix("# ").strip(),
                values=glued(notebook),
                seeds=sorted({int(first or second) for first, second in SEEDS.findall(code)}),
            )
        )
    return chapters


def filled(text: str, page: str, root: Path) -> str:
    """A Markdown page with its tables in the place of the marks; a page without marks as it is.

    Args:
        page: of the text, relative to `root`: links in the tables start there.

    Raises:
        MeasuredError: an unknown mark, or a headline names a chapter or a value that is not there.
    """
    if not MARK.search(text):
        return text
    chapters = executed_chapters(root)
    tables = {
        "costs": lambda: costs_table(chapters, page),
        "versions": lambda: versions(chapters),
        "figures": lambda: figures_table(
            chapters, yaml.safe_load(HEADLINES.read_text(encoding="utf-8")), page
        ),
    }

    def table(match: re.Match[str]) -> str:
        if match[1] not in tables:
            raise MeasuredError(f"{page}: unknown mark {match[1]!r}. Known: {', '.join(tables)}.")
        return tables[match[1]]()

    return MARK.sub(table, text)


def costs_table(chapters: list[Executed], page: str) -> str:
    """Each chapter with its time, its memory and its seeds."""
    rows = ["| chapter | time | memory | seeds |", "|---|---|---|---|"]
    for chapter in chapters:
        seeds = ", ".join(map(str, chapter.seeds)) or "none"
        values = chapter.values
        time, memory = (_as_text(values[name]) for name in ("cost_time", "cost_memory"))
        rows.append(f"| {_link(chapter, page)} | {time} | {memory} | {seeds} |")
    return "\n".join(rows)


def versions(chapters: list[Executed]) -> str:
    """What the chapters were computed with: one line where it is the same for all."""
    found: dict[str, list[str]] = {}
    for chapter in chapters:
        found.setdefault(_as_text(chapter.values["cost_versions"]), []).append(chapter.title)
    if len(found) == 1:
        return f"Every chapter ran with {next(iter(found))}."
    return "\n".join(f"- {', '.join(titles)}: {versions}" for versions, titles in found.items())


def figures_table(chapters: list[Executed], headlines: list[dict[str, str]], page: str) -> str:
    """Each headline figure beside the published one, its source, and why they differ."""
    known = {chapter.page: chapter for chapter in chapters}
    rows = ["| figure | here | published | why they differ |", "|---|---|---|---|"]
    for headline in headlines:
        chapter = known.get(headline["chapter"])
        if chapter is None:
            raise MeasuredError(
                f"headlines.yml: {headline['chapter']}, of {headline['figure']!r}, is no executed chapter."
            )
        try:
            here = headline["here"].format_map(
                {name: _as_text(value) for name, value in chapter.values.items()}
            )
        except KeyError as missing:
            raise MeasuredError(
                f"headlines.yml: {headline['chapter']} recorded no value {missing} for {headline['figure']!r}."
            ) from None
        source = f"{{cite}}`{headline['source']}`"
        rows.append(
            f"| {headline['figure']} ({_link(chapter, page)}) | {here} | "
            f"{headline['published']} {source} | {headline['why']} |"
        )
    return "\n".join(rows)


def _as_text(value: str) -> str:
    """Markdown that shows a recorded value as it is: none of its signs is read as markup or ends a cell."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&!])", r"\\\1", " ".join(value.split()))


def _link(chapter: Executed, page: str) -> str:
    return f"[{chapter.title}]({os.path.relpath(f'{chapter.page}.ipynb', Path(page).parent)})"
