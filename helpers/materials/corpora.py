"""The small corpora that were written for this course: `data/NAME.jsonl`, each with its data card `data/NAME.md`."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

PACKAGE = "course_data"
"""The name under which the folder `data` is installed, so that a notebook in Colab has it, too."""


def read_corpus(name: str) -> list[dict[str, Any]]:
    """The rows of a corpus, in the order of its file.

    Raises:
        ValueError: there is no corpus of this name; the message lists those that there are.
    """
    return [json.loads(line) for line in _read(name, ".jsonl").splitlines()]


def data_card(name: str) -> str:
    """The data card of a corpus, or of the reviews: Markdown.

    Raises:
        ValueError: there is no card of this name; the message lists those that there are.
    """
    return _read(name, ".md")


def _read(name: str, ending: str) -> str:
    folder = resources.files(PACKAGE)
    known = sorted(file.name.removesuffix(ending) for file in folder.iterdir() if file.name.endswith(ending))
    if name not in known:
        raise ValueError(f"There is no {name + ending!r} among the course's data. Known: {', '.join(known)}.")
    return (folder / f"{name}{ending}").read_text(encoding="utf-8")
