"""What a chapter costs alone: where no other has run, some first train the model that another one keeps."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from book.execute import TRAINS, chapter_notebooks
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


@dataclass(frozen=True)
class Training:
    """The training of the sentiment model that other chapters load.

    Attributes:
        page: the chapter that trains and keeps it.
        time: how long that took, in words.
    """

    page: str
    time: str


def training(root: Path, executed: Path) -> Training | None:
    """The sentiment model's training: the longest cell of the executed chapter that keeps the model.

    None where no chapter does.
    """
    for path in chapter_notebooks(root):
        if not (executed / path).is_file():
            continue
        notebook = nbformat.read(executed / path, as_version=4)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if any(TRAINS in cell.source for cell in cells):
            return Training(path.with_suffix("").as_posix(), Cost(max(map(seconds, cells)), 0).time)
    return None


def sentence(notebook: NotebookNode, page: str, trained: Training | None) -> str:
    """What a chapter costs more where the sentiment model has not been trained; empty where it loads none."""
    if trained is None or loading_cell(notebook) is None:
        return ""
    address = os.path.relpath(f"{trained.page}.ipynb", Path(page).parent)
    return (
        f"**Alone**, where chapter [Fine-tuning]({address}) has not run before, this notebook first trains "
        f"that chapter's model: {trained.time} more."
    )
