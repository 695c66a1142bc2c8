"""Runs a notebook of the learner's edition as a learner does who opened it alone: in an empty folder, without helpers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from environments import new_bytes, python_of
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from book.edition.references import name
from book.repository import NOTEBOOKS_BRANCH, Repository
from book.setup_cell import setup_source

ROOT = Path(__file__).parents[2]
ADDRESS = Repository("https://github.com", "nobody/course-under-test")
"""Where the set-up cell fetches the helpers; git is told to take a local folder for it."""
CELL_TIMEOUT = 900  # seconds


@dataclass(frozen=True)
class Run:
    """How a chapter went: seconds of the whole, set-up cell and all, and MB that the set-up installed."""

    chapter: str
    passed: bool
    seconds: int
    megabytes: int
    setup: str
    """What the set-up cell printed."""
    error: str = ""
    """The cell that stopped it, and the last line of its error."""

    as_dict = asdict


def published(folder: Path) -> dict[str, str]:
    """The working tree as a git repository in `folder`, and the settings that put it in ADDRESS's place."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    for path in done.stdout.splitlines():
        if (ROOT / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (
        ["init", "-q", "-b", NOTEBOOKS_BRANCH],
        ["add", "-A"],
        [*author, "commit", "-q", "-m", "all"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{folder}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS.url,
    }


def colab_stub(folder: Path) -> Path:
    """A folder for PYTHONPATH: with it every Python has loaded `google.colab` from the start."""
    (folder / "google" / "colab").mkdir(parents=True)
    (folder / "google" / "colab" / "__init__.py").write_text("")
    (folder / "sitecustomize.py").write_text("import google.colab\n")
    return folder


def learners_notebook(chapter: Path) -> nbformat.NotebookNode:
    """The notebook of the learner's edition that was made from `chapter`, its helpers at ADDRESS.

    Raises:
        FileNotFoundError: the edition was not made yet.
    """
    path = ROOT / "build" / "notebooks" / name(chapter.with_suffix("").as_posix())
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there. Run: make notebooks")
    notebook = nbformat.read(path, as_version=4)
    setup = next(cell for cell in notebook.cells if cell.id == "setup")
    setup.source = setup_source(ADDRESS)
    return notebook


def run_alone(
    notebook: nbformat.NotebookNode, chapter: str, environment: Path, folder: Path, settings: dict[str, str]
) -> Run:
    """Executes `notebook` with the Python of `environment`, in an empty folder under `folder`.

    Args:
        chapter: its name, for the report.
        settings: variables of the kernel's environment, over those of this process.

    `notebook` then holds the outputs.
    """
    alone = Path(tempfile.mkdtemp(dir=folder))
    began, bytes_before = time.monotonic(), new_bytes(environment)
    error = ""
    with _environment({**settings, "JUPYTER_PATH": str(_kernel(environment, alone))}):
        client = NotebookClient(notebook, timeout=CELL_TIMEOUT, kernel_name="other")
        try:
            client.execute(cwd=str(alone))
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as failure:
            error = f"{_stopped(notebook)}: {_last_words(failure)}"
    seconds = round(time.monotonic() - began)
    setup = next(cell for cell in notebook.cells if cell.id == "setup")
    said = "".join(output.get("text", "") for output in setup.outputs)
    megabytes = round((new_bytes(environment) - bytes_before) / 1e6)
    return Run(chapter, not error, seconds, megabytes, said.strip(), error)


def _kernel(environment: Path, folder: Path) -> Path:
    jupyter = folder.with_name(f"{folder.name}-jupyter")
    place = jupyter / "kernels" / "other"
    place.mkdir(parents=True)
    command = [str(python_of(environment)), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    specification = {"argv": command, "display_name": "other", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(specification))
    return jupyter


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _stopped(notebook: nbformat.NotebookNode) -> str:
    for cell in notebook.cells:
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            tags = cell.metadata.get("tags", [])
            if "raises-exception" not in tags:
                return f"cell {cell.id}"
    return "no cell"


def _last_words(failure: Exception) -> str:
    if isinstance(failure, CellExecutionError):
        return f"{failure.ename}: {failure.evalue}".strip()[:600]
    return f"{type(failure).__name__}: {failure}".strip()[:600]
