"""Executes each chapter once: `python -m book.execute`.

A chapter is executed again only when its code, a helper or a corpus that it uses, the lock or the profile changed.
When only its prose changed, the new prose takes over the outputs that are there.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from book.files import write_if_changed

CELL_TIMEOUT = 900  # seconds: a stuck cell ends, a slow machine does not
TRAINS = "store_sentiment_model("
"""A chapter that calls this trains the model that others load: it is executed before them."""


def chapter_notebooks(root: Path) -> list[Path]:
    """The notebooks of the table of contents, relative to `root`, in reading order."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    names: list[str] = []

    def collect(node: object) -> None:
        if isinstance(node, dict):
            names.extend(node[key] for key in ("root", "file") if key in node)
            for value in node.values():
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    collect(toc)
    return [path for name in names if (root / (path := Path(f"{name}.ipynb"))).exists()]


def helper_sources(code: str, root: Path) -> list[Path]:
    """The files of `helpers` that `code` imports, directly or through other helpers, sorted.

    A helper's own assets (`helpers/assets/NAME.*` of `helpers/NAME.py`) are among them.
    """
    found: set[Path] = set()
    pending = _imported_helpers(code, root)
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending |= _imported_helpers(path.read_text(encoding="utf-8"), root)
    assets = {asset for path in found for asset in (root / "helpers" / "assets").glob(f"{path.stem}.*")}
    return sorted(found | assets)


def _imported_helpers(code: str, root: Path) -> set[Path]:
    python = "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", line) for line in code.splitlines())
    modules: set[str] = set()
    for node in ast.walk(ast.parse(python)):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
            modules.update(f"{node.module}.{alias.name}" for alias in node.names)
    files = {root / (module.replace(".", "/") + ".py") for module in modules if module.startswith("helpers.")}
    return {path for path in files if path.exists()}


def data_files(code: str, root: Path) -> list[Path]:
    """The corpora and data cards that `code` reads by `helpers.corpora`."""
    endings = {"read_corpus": ".jsonl", "data_card": ".md"}
    found = re.findall(r"\b(read_corpus|data_card)\(\"(\w+)\"\)", code)
    return sorted({root / "data" / f"{name}{endings[function]}" for function, name in found})


def execution_key(notebook: nbformat.NotebookNode, root: Path) -> str:
    """A digest of everything that decides the outputs: code, helpers, data, lock, torch's pin, profile.

    The set-up cell is left out: it installs elsewhere what is here already.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and "setup" not in _tags(cell)]
    digest = hashlib.sha256()
    for cell in code:
        digest.update(json.dumps([cell.source, "raises-exception" in _tags(cell)]).encode())
    files = helper_sources("\n".join(cell.source for cell in code), root)
    files += data_files("\n".join(cell.source for cell in code), root)
    for path in [*files, root / "requirements.txt", root / "Makefile"]:
        text = path.read_text(encoding="utf-8")
        if path.name == "Makefile":
            text = next(line for line in text.splitlines() if line.startswith("TORCH"))
        digest.update(f"{path.relative_to(root)}\n{text}".encode())
    for variable in ("COURSE_PROFILE", "COURSE_WEIGHTS"):
        digest.update(os.environ.get(variable, "").encode())
    return digest.hexdigest()


def build_folder(root: Path) -> Path:
    """Where this profile's notebooks are kept: the `gpu` profile leaves those of the `cpu` profile alone."""
    return root / "build" / "gpu" if _profile_name() == "gpu" else root / "build"


def _profile_name() -> str:
    return os.environ.get("COURSE_PROFILE", "cpu")


def _tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


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


class _Passed:
    """Collects which notebooks pytest saw pass."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: set[Path] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.paths.add((self.root / report.nodeid.partition("::")[0]).resolve())


def execute(root: Path) -> bool:
    """Brings `executed` of the build folder up to date; returns whether every chapter is.

    A chapter that fails keeps its last good output there, but the build stops.
    """
    build = build_folder(root)
    stale: dict[Path, str] = {}
    for path in chapter_notebooks(root):
        source = nbformat.read(root / path, as_version=4)
        key = execution_key(source, root)
        done = build / "executed" / path
        executed = nbformat.read(done, as_version=4) if done.exists() else None
        if executed is None or executed.metadata.get("course_key") != key:
            stale[path] = key
            target = build / "running" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, target)
        else:
            write_if_changed(done, nbformat.writes(with_outputs(source, executed)))
    if not stale:
        print("   every chapter's output is up to date")
        return True

    order = sorted(stale, key=lambda path: TRAINS not in (root / path).read_text(encoding="utf-8"))
    print(f"   to execute: {', '.join(path.stem for path in order)}", flush=True)
    passed = _run([build / "running" / path for path in order], root)
    for path, key in stale.items():
        running = build / "running" / path
        if running.resolve() in passed:
            notebook = nbformat.read(running, as_version=4)
            notebook.metadata["course_key"] = key
            write_if_changed(build / "executed" / path, nbformat.writes(notebook))
    failed = [path for path in stale if (build / "running" / path).resolve() not in passed]
    for path in failed:
        print(f"   FAILED: {path} (the error is above; what ran is in {build / 'running'})", file=sys.stderr)
    return not failed


def _run(notebooks: list[Path], root: Path) -> set[Path]:
    # threads that wait spin briefly, then sleep: on busy cores a pair that spins on is ten times slower
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    if _profile_name() == "cpu":
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(root / "book" / "no_network"), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
    running = build_folder(root) / "running"
    recorder = _Passed(running)
    options = ["--nbmake", "--overwrite", f"--nbmake-timeout={CELL_TIMEOUT}", "-q", "--durations=0"]
    options += ["-p", "no:cacheprovider", f"--rootdir={running}", "-c", os.devnull]
    pytest.main([*options, *map(str, notebooks)], plugins=[recorder])
    return recorder.paths


def glued(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """The values that an executed notebook recorded for its text."""
    values = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if name := output.get("metadata", {}).get("scrapbook", {}).get("name"):
                values[name] = ast.literal_eval(output["data"]["application/papermill.record/text/plain"])
    return values


def costs(root: Path) -> list[tuple[str, str, str]]:
    """Each executed chapter with its time and peak memory, in words."""
    rows = []
    for path in chapter_notebooks(root):
        values = glued(nbformat.read(build_folder(root) / "executed" / path, as_version=4))
        rows.append((path.stem, values["cost_time"], values["cost_memory"]))
    return rows


def obstacle() -> str | None:
    """Why the chapters cannot run with this profile and these weights, or None; brings the weights."""
    from helpers.checkpoints import checkpoint_folder
    from helpers.profile import current_profile

    try:
        checkpoint_folder(current_profile().encoder)
    except (RuntimeError, ValueError) as error:
        return str(error)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="folder of _toc.yml")
    root = parser.parse_args().root.resolve()
    if _profile_name() != "cpu" and (reason := obstacle()):
        print(f"   {reason}", file=sys.stderr)
        return 2
    if not execute(root):
        return 1
    for chapter, seconds, memory in costs(root):
        print(f"   {chapter:20} {seconds:>14}  {memory:>8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
