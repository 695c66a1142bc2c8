"""What a chapter costs alone: where no other has run, some first train the model that another one keeps."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from book.execute import TRAINS, build_folder, chapter_notebooks
from helpers.results import Cost

LOADS = re.compile(r"^(?!\s*(?:from|import)\b).*\bsentiment_(?:model|folder)\(", re.MULTILINE)
"""A line of code that loads the sentiment model, or trains it where there is none."""


def seconds(cell: NotebookNode) -> float:
    """How long an executed code cell took; 0 where the record lacks it."""
    times = cell.metadata.get("execution", {})
    try:
        begun, ended = times["iopub.execute_input"], times["iopub.status.idle"]
    except KeyError:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()


def loading_cell(notebook: NotebookNode) -> NotebookNode | None:
    """The first cell that needs the sentiment model of another chapter, or None."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if any(TRAINS in cell.source for cell in code):
        return None
    return next((cell for cell in code if LOADS.search(cell.source)), None)


def training_time(root: Path) -> str | None:
    """How long the sentiment model's training took, in words: the longest cell of the chapter that keeps it.

    None where no executed chapter does.
    """
    for path in chapter_notebooks(root):
        executed = build_folder(root) / "executed" / path
        if not executed.is_file():
            continue
        cells = [cell for cell in nbformat.read(executed, as_version=4).cells if cell.cell_type == "code"]
        if any(TRAINS in cell.source for cell in cells):
            return Cost(max(map(seconds, cells)), 0).time
    return None


def say_what_it_costs_alone(notebook: NotebookNode, time: str, trains: str) -> None:
    """Add to a chapter's first text what it costs where the sentiment model has not been trained.

    Args:
        time: of that training, in words.
        trains: the address of the chapter that trains it, seen from this one.
    """
    if loading_cell(notebook) is not None:
        notebook.cells[0].source += (
            f"\n\n**Alone**, where chapter [Fine-tuning]({trains}) has not run, this notebook first trains "
            f"that chapter's sentiment model: {time} more."
        )
