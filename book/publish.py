"""From executed notebooks to what Sphinx reads: outputs in a form for a static page, the set-up folded."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import nbformat

from book import alone, measured
from book.contents import pages
from book.errors import PublishError
from book.files import remove_others, write_if_changed
from book.outputs import shown
from book.repository import repository
from book.setup_cell import setup_source

COMPANIONS = {".bib", ".css", ".gif", ".jpg", ".jpeg", ".png", ".svg", ".webp"}
"""Endings of the files beside the chapters that pages may use."""


def publishable(notebook: dict[str, Any], name: str) -> Any:
    """An executed notebook as the site shows it; the one given is left as it is.

    Plotly figures become HTML that ``browser/figures.js`` draws; widgets become a note, and their
    state is dropped; tracebacks keep the frames of the chapter's own cells; the set-up cell is folded.
    Everything else passes unchanged.

    Args:
        notebook: an executed notebook, nbformat 4, as parsed JSON.
        name: how messages call it, such as ``chapters/04_attention``.

    Raises:
        PublishError: a code cell was not executed, a figure or image has no alternative text, a frame
            has no title, HTML could run a script in the page, or a cell wrote to stderr without the tag
            ``expected-stderr``.
    """
    result = copy.deepcopy(notebook)
    result["metadata"].pop("widgets", None)
    for number, cell in enumerate(result["cells"], start=1):
        if cell["cell_type"] != "code":
            continue
        where = f"{name}, cell {number}"
        tags = cell.setdefault("metadata", {}).setdefault("tags", [])
        if "".join(cell["source"]).strip() and cell.get("execution_count") is None:
            raise PublishError(f"{where}: was not executed; run the notebooks again")
        if "setup" in tags:
            fold(cell, "Show the set-up of this notebook", "Hide the set-up of this notebook")
        outputs = [shown(output, cell, where) for output in cell["outputs"]]
        cell["outputs"] = [output for output in outputs if output is not None]
    return result


def fold(cell: dict[str, Any], show: str, hide: str) -> None:
    """Fold the code of a cell away behind these words, unless its tags already say how to show it."""
    tags = cell["metadata"]["tags"]
    if not {"hide-input", "hide-cell", "remove-input", "remove-cell"} & set(tags):
        tags.append("hide-input")
    cell["metadata"].setdefault("mystnb", {}).update(code_prompt_show=show, code_prompt_hide=hide)


def publish(root: Path, target: Path, executed: Path) -> list[Path]:
    """Bring ``target`` in step with the chapters, touching only the files whose content changes.

    Args:
        root: the repository: ``_toc.yml`` and ``chapters/`` are read from it.
        target: the folder that Sphinx reads.
        executed: the folder with the executed notebooks, laid out like ``root``.

    Returns:
        The files written or removed.

    Raises:
        PublishError: a page of the table of contents is missing, was not executed, or cannot be
            published. ``target`` is then left as it was.
    """
    contents: dict[Path, bytes] = {target / "_toc.yml": (root / "_toc.yml").read_bytes()}
    setup, trained = setup_source(repository(root)), alone.training(root, executed)
    for page in pages(root / "_toc.yml"):
        if (root / f"{page}.ipynb").is_file():
            contents[target / f"{page}.ipynb"] = _notebook(executed / f"{page}.ipynb", page, setup, trained)
        elif (root / f"{page}.md").is_file():
            text = (root / f"{page}.md").read_text(encoding="utf-8")
            contents[target / f"{page}.md"] = measured.filled(text, page, root).encode()
        else:
            raise PublishError(f"_toc.yml names {page}, but there is neither {page}.ipynb nor {page}.md")
    for path in sorted((root / "chapters").rglob("*")):
        if path.suffix in COMPANIONS and ".ipynb_checkpoints" not in path.parts:
            contents[target / path.relative_to(root)] = path.read_bytes()
    written = [path for path, content in contents.items() if write_if_changed(path, content)]
    return written + remove_others(target, set(contents))


def _notebook(path: Path, page: str, setup: str, trained: alone.Training | None) -> bytes:
    if not path.is_file():
        raise PublishError(f"{page}: has not been executed yet; run the notebooks first")
    notebook = publishable(nbformat.read(path, as_version=4), page)
    for cell in notebook["cells"]:
        if "setup" in cell["metadata"].get("tags", []):
            cell["source"] = setup
    if more := alone.sentence(notebook, page, trained):
        notebook["cells"][0]["source"] += f"\n\n{more}"
    return json.dumps(notebook, ensure_ascii=False, indent=1).encode() + b"\n"
