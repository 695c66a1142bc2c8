"""The notebooks that were executed: whether they still are what their source is, and their outputs under new prose."""

from __future__ import annotations

from pathlib import Path

import nbformat

UNREADABLE = (OSError, ValueError, LookupError, AttributeError, TypeError, nbformat.ValidationError)
"""What `nbformat.read` raises on a file that is missing, cut short, or no notebook."""


def executed_notebook(path: Path) -> nbformat.NotebookNode | None:
    """A notebook all of whose code cells were executed; None where there is none, or a damaged one."""
    try:
        notebook = nbformat.read(path, as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
        return notebook if all(cell.execution_count for cell in code) else None
    except UNREADABLE:
        return None


def same_cells(source: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> bool:
    """Whether the code cells of both are the same, one by one; the set-up cell may read otherwise."""
    codes = [[cell for cell in notebook.cells if cell.cell_type == "code"] for notebook in (source, executed)]
    return len(codes[0]) == len(codes[1]) and all(
        own.source == theirs.source or "setup" in own.metadata.get("tags", [])
        for own, theirs in zip(*codes, strict=True)
    )


def with_outputs(source: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The source's cells with the outputs of the executed code cells, in order."""
    outputs = iter([cell for cell in executed.cells if cell.cell_type == "code"])
    for cell in source.cells:
        if cell.cell_type == "code":
            done = next(outputs)
            cell.outputs, cell.execution_count = done.outputs, done.execution_count
            cell.metadata["execution"] = done.metadata.get("execution", {})
    source.metadata = {**executed.metadata, **source.metadata}
    return source
