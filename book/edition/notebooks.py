"""Writes the learner's edition: what Sphinx read and learned → `build/notebooks`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from book.alone import Training, loading_cell, seconds, training
from book.edition import pages
from book.edition.markdown import Plain
from book.edition.references import References, name, read_references
from book.execute import glued
from book.files import remove_others, write_if_changed
from book.publish import pages as toc_pages
from book.repository import repository
from helpers.results import Cost

LONG = 20
"""Seconds from which on a cell says how long it takes before it is run."""

REMOVED = "remove-cell"
"""The tag of cells that only record a figure for the page: no reader needs them."""

MANIFEST = "edition.json"
"""Which source each notebook was made from: by it a learner's copy is compared with a newer edition."""

SOLUTION = (
    "**A solution** is folded below. To open it: click the three dots (JupyterLab), *Show code* (Colab) or "
    "the arrow (VS Code)."
)


def learner_notebook(
    notebook: NotebookNode,
    page: str,
    references: References,
    order: list[str],
    site: str | None = None,
    trained: Training | None = None,
) -> NotebookNode:
    """A page of the book as a notebook to work in.

    Args:
        notebook: as Sphinx reads it (``build/source``): executed, its set-up cell filled in.
        page: its name in the table of contents.
        order: all pages in reading order.
        site: the address of the published book, or None.
        trained: the training of the model that chapters load.

    Raises:
        EditionError: the text refers to what is not there.
    """
    values = glued(notebook)
    plain = Plain(page, references, values)
    loads = loading_cell(notebook) if trained else None
    cells: list[NotebookNode] = []
    before = None
    for cell in notebook.cells:
        if REMOVED in cell.metadata.get("tags", []):
            continue
        if cell.cell_type == "markdown":
            cells.append(new_markdown_cell(plain.text(cell.source), id=cell.id))
        else:
            cells += _announcement(cell, plain, trained if cell is loads else None)
            if _is_solution(cell):
                if before is None or not _is_solution(before):
                    cells.append(new_code_cell("# Your turn\n", id=f"learner-turn-{cell.id}"[:64]))
                cells.append(new_markdown_cell(SOLUTION, id=f"learner-open-{cell.id}"[:64]))
            cells.append(_code_cell(cell))
        before = cell
    _open(cells[0], pages.way(page, references, order, site))
    return finished(cells, notebook.metadata.get("language_info"))


def finished(cells: list[NotebookNode], language: dict[str, Any] | None = None) -> NotebookNode:
    """A notebook of these cells for the kernel that every place has.

    Args:
        language: what the kernel says of itself; with it JupyterLab has nothing to add on opening.
    """
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    language = language or {"name": "python"}
    metadata = {"kernelspec": kernel, "language_info": language, "colab": {"toc_visible": True}}
    return new_notebook(cells=cells, metadata=metadata)


def _open(title: NotebookNode, line: str) -> None:
    # what it costs and needs goes to the top, where one decides whether to begin
    heading, *paragraphs = title.source.split("\n\n")
    first = [text for text in paragraphs if text.startswith(("**Measured on the machine", "**Alone**"))]
    first = [text.replace("that built this page:", "that built this edition:") for text in first]
    others = [text for text in paragraphs if not text.startswith(("**Measured on the machine", "**Alone**"))]
    title.source = "\n\n".join([heading, line, *first, *others])


def _is_solution(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and "hide-cell" in cell.metadata.get("tags", [])


def _code_cell(cell: NotebookNode) -> NotebookNode:
    tags = set(cell.metadata.get("tags", []))
    metadata: dict[str, Any] = {}
    if tags & {"hide-input", "hide-cell"}:
        metadata = {"jupyter": {"source_hidden": True}, "cellView": "form"}
    if "hide-cell" in tags:
        metadata["jupyter"]["outputs_hidden"] = True
    return new_code_cell(cell.source, id=cell.id, metadata=metadata)


def _announcement(cell: NotebookNode, plain: Plain, trained: Training | None) -> list[NotebookNode]:
    taken, said = seconds(cell), []
    if taken > LONG:
        said.append(f"The next cell takes a while: {Cost(taken, 0).time}.")
    if trained:
        chapter = plain.link("Fine-tuning", trained.page)
        said.append(
            f"The next cell loads the model of chapter {chapter}, or first trains it where that chapter has not "
            f"run before: {trained.time}."
        )
    return [new_markdown_cell(f"*{' '.join(said)}*", id=f"learner-time-{cell.id}"[:64])] if said else []


def edition(root: Path) -> dict[str, tuple[NotebookNode, str]]:
    """All notebooks of the edition: for each file its notebook and the hash of what it was made from.

    Raises:
        EditionError: the site was not built, or a page refers to what is not there.
    """
    build = root / "build"
    source = build / "source"
    references = read_references(source, build / "doctrees", sorted((source / "chapters").glob("*.bib")))
    home = repository(root)
    site = home.pages if home else None
    order = toc_pages(root / "_toc.yml")
    trained = training(root, build / "executed")
    result = {}
    for page in order:
        path = source / f"{page}.ipynb"
        if path.is_file():
            notebook = nbformat.read(path, as_version=4)
            made = learner_notebook(notebook, page, references, order, site, trained)
            original = (root / f"{page}.ipynb").read_bytes()
        else:
            text = (source / f"{page}.md").read_text(encoding="utf-8")
            cells = pages.page_cells(text, page, references, order, site)
            made = finished(cells)
            original = (root / f"{page}.md").read_bytes()
        result[name(page)] = (made, hashlib.sha256(original).hexdigest())
    return result


def write_edition(root: Path) -> Path:
    """Write the edition of the repository ``root`` into ``build/notebooks``; files unchanged stay untouched.

    Returns:
        The folder.

    Raises:
        EditionError: as `edition`. What stood in the folder then stays.
    """
    target = root / "build" / "notebooks"
    notebooks = edition(root)
    kept = {target / MANIFEST}
    for file, (notebook, _) in notebooks.items():
        nbformat.validate(notebook)
        write_if_changed(target / file, nbformat.writes(notebook) + "\n")
        kept.add(target / file)
    manifest = {file: digest for file, (_, digest) in notebooks.items()}
    write_if_changed(target / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    remove_others(target, kept)
    return target
