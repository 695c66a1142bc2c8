"""Executes each chapter once: `python -m book.execute`.

A chapter is executed again only when something that decides its outputs has changed (`book.inputs`). When only
its prose changed, the new prose takes over the outputs that are there. Each chapter is kept as it ends: what
stops the run loses the chapter that runs, and no other.
"""

from __future__ import annotations

import argparse
import ast
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import nbformat

from book.contents import pages
from book.errors import PublishError
from book.files import write_if_changed
from book.inputs import execution_key
from book.kept import UNREADABLE, executed_notebook, same_cells, with_outputs
from book.named import InputError
from book.progress import Progress, known_seconds
from book.run import kernel_environment, run_notebook
from helpers.materials.cache import InUseError, locked

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
TRAINS = "store_sentiment_model("
"""A chapter that calls this trains the model that others load: it is executed before them."""


class StoppedError(BaseException):
    """A signal asks this run to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.strsignal(number))
        self.number = number


def chapter_notebooks(root: Path) -> list[Path]:
    """The notebooks of the table of contents, relative to `root`, in reading order.

    Raises:
        PublishError: `_toc.yml` is no table of contents.
    """
    return [path for name in pages(root / "_toc.yml") if (root / (path := Path(f"{name}.ipynb"))).is_file()]


def build_folder(root: Path) -> Path:
    """Where this profile's notebooks are kept: the `gpu` profile leaves those of the `cpu` profile alone."""
    gpu = os.environ.get("COURSE_PROFILE", "cpu") == "gpu"
    return root / "build" / "gpu" if gpu else root / "build"


def _source(root: Path, path: Path) -> tuple[nbformat.NotebookNode, str]:
    """A chapter as it stands now, and its key.

    Raises:
        InputError: it is no notebook, or what it runs or reads cannot be seen.
    """
    try:
        source = nbformat.read(root / path, as_version=4)
    except UNREADABLE as error:
        raise InputError(f"it is no notebook: {str(error)[:200]}") from error
    return source, execution_key(source, root)


def execute(root: Path) -> bool:
    """Brings `executed` of the build folder up to date; returns whether every chapter is.

    A chapter that fails keeps its last good output there, but the build stops.

    Raises:
        InUseError: another process executes the chapters of this clone.
    """
    build = build_folder(root)
    with locked(build / "executed", wait=False):
        return _execute(root, build)


def _execute(root: Path, build: Path) -> bool:
    stale: dict[Path, float | None] = {}
    faults: dict[Path, str] = {}
    for path in chapter_notebooks(root):
        try:
            source, key = _source(root, path)
        except InputError as error:
            faults[path] = str(error)
            continue
        executed = executed_notebook(build / "executed" / path)
        if executed is None or executed.metadata.get("course_key") != key or not same_cells(source, executed):
            stale[path] = known_seconds(executed)
        else:
            write_if_changed(build / "executed" / path, nbformat.writes(with_outputs(source, executed)))
    order = sorted(stale, key=lambda path: TRAINS not in (root / path).read_text(encoding="utf-8"))
    if order:
        faults |= _run_all(order, {path.stem: seconds for path, seconds in stale.items()}, root, build)
    elif not faults:
        print("   every chapter's output is up to date")
    for path, fault in faults.items():
        print(f"   FAILED: {path}: {fault}", file=sys.stderr)
    return not faults


def _run_all(
    order: list[Path], expected: dict[str, float | None], root: Path, build: Path
) -> dict[Path, str]:
    """Executes chapters and keeps each that passes; returns why the others did not."""
    print(f"   nbmake executes {', '.join(path.stem for path in order)}", flush=True)
    progress, faults = Progress(expected), {}
    with kernel_environment(root) as settings:
        try:
            for path in order:
                progress.begin(path.stem)
                fault, report = _run_one(path, settings, progress, root, build)
                progress.end("FAILED" if fault else "")
                if fault:
                    faults[path] = fault
                    progress.say(report)
        except BaseException:
            kept = order.index(path) - len(faults)
            progress.say(
                f"   stopped in {path.stem}; of {len(order)} chapters {kept} were executed and are kept"
            )
            raise
        finally:
            progress.close()
    return faults


def _run_one(
    path: Path, settings: dict[str, str], progress: Progress, root: Path, build: Path
) -> tuple[str, str]:
    """Executes a chapter and keeps it; returns what went wrong and nbmake's report, both empty where nothing."""
    running = build / "running"
    try:
        source, key = _source(root, path)
        write_if_changed(running / path, nbformat.writes(source))
        report = run_notebook(path, running, settings, progress.tick if progress.live else None)
        if report is not None:
            return f"the error is above; what ran is in {running}", report
        notebook = executed_notebook(running / path)
        if notebook is None or not same_cells(source, notebook):
            return "not all of its cells were executed; it is not kept", ""
        if _source(root, path)[1] != key:
            return (
                "its code, or a file that it uses, changed while it ran; it is not kept, run this again",
                "",
            )
    except InputError as error:
        return str(error), ""
    notebook.metadata["course_key"] = key
    write_if_changed(build / "executed" / path, nbformat.writes(notebook))
    return "", ""


def glued(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """The values that an executed notebook recorded for its text."""
    values = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if name := output.get("metadata", {}).get("scrapbook", {}).get("name"):
                values[name] = ast.literal_eval(output["data"]["application/papermill.record/text/plain"])
    return values


def costs(root: Path) -> list[tuple[str, str, str]]:
    """Each executed chapter with its time and peak memory, in words; empty where it did not record them."""
    rows = []
    for path in chapter_notebooks(root):
        values = glued(nbformat.read(build_folder(root) / "executed" / path, as_version=4))
        rows.append((path.stem, values.get("cost_time", ""), values.get("cost_memory", "")))
    return rows


def bring_encoder() -> str | None:
    """Brings the weights of this profile's encoder, by download where the profile takes them from the Hub.

    Returns:
        Why the chapters cannot run with this profile and these weights, or None.
    """
    from helpers.materials.checkpoints import checkpoint_folder
    from helpers.profile import current_profile

    try:
        checkpoint_folder(current_profile().encoder)
    except (RuntimeError, ValueError) as error:
        return str(error)
    return None


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # the processes are being ended already
    raise StoppedError(number)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="folder of _toc.yml")
    root = parser.parse_args().root.resolve()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup asks
            signal.signal(number, _stop)
    try:
        if reason := bring_encoder():
            print(f"   {reason}", file=sys.stderr)
            return 2
        if not execute(root):
            return 1
    except (InUseError, PublishError) as error:
        print(f"   {error}", file=sys.stderr)
        return 2
    except StoppedError as stopped:
        return 128 + stopped.number
    for chapter, seconds, memory in costs(root):
        print(f"   {chapter:20} {seconds:>14}  {memory:>8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
