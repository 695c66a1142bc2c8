"""Executes the learner's edition with other versions, every chapter alone: `make test-colab VERSIONS=colab`.

Writes `build/editions/VERSIONS.json`: versions, and how each chapter went.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import nbformat
from alone import Run, colab_stub, learners_notebook, published, run_alone
from environments import ROOT, VERSIONS, copy_of, environment, parsed, pins

from book.execute import TRAINS, chapter_notebooks

BUILD = ROOT / "build" / "editions"


def chosen(names: list[str]) -> list[Path]:
    """The chapters to run, the one that trains the shared model first; all of them without names.

    Raises:
        ValueError: there is no such chapter.
    """
    chapters = chapter_notebooks(ROOT)
    known = {path.stem: path for path in chapters}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"No chapter is called {', '.join(unknown)}. They are {', '.join(known)}.")
    wanted = [known[name] for name in names] or chapters
    return sorted(wanted, key=lambda path: TRAINS not in (ROOT / path).read_text(encoding="utf-8"))


def differences(used: dict[str, str]) -> dict[str, list[str | None]]:
    """Each package whose version is not the lock's: the lock's (None without one) and that which was used."""
    lock = parsed((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    return {
        name: [lock.get(name), version] for name, version in sorted(used.items()) if lock.get(name) != version
    }


def row(run: Run) -> str:
    verdict = "passed" if run.passed else "FAILED"
    return f"   {run.chapter:36} {verdict} {run.seconds:5} s {run.megabytes:5} MB  {run.error}".rstrip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", choices=VERSIONS)
    parser.add_argument("chapters", nargs="*", help="names such as 02_tokenization; all without")
    arguments = parser.parse_args()
    chapters = chosen(arguments.chapters)
    used = pins(arguments.versions)
    base = environment(used, BUILD)
    executed = BUILD / f"executed-{arguments.versions}"
    executed.mkdir(exist_ok=True)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        settings = {
            **published(Path(scratch) / "published"),
            "PYTHONPATH": str(colab_stub(Path(scratch) / "stub")) if arguments.versions == "colab" else "",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel warns of its debugger
            "COURSE_CACHE": os.environ.get("COURSE_CACHE", str(Path(scratch) / "cache")),
        }
        for chapter in chapters:
            own = copy_of(base, Path(scratch) / chapter.stem)
            notebook = learners_notebook(chapter)
            name = chapter.relative_to("chapters").with_suffix("").as_posix()
            runs.append(run_alone(notebook, name, own, Path(scratch), settings))
            print(row(runs[-1]), flush=True)
            nbformat.write(notebook, executed / chapter.name)
            shutil.rmtree(own)
    report = {
        "versions": arguments.versions,
        "python": sys.version.split()[0],
        "torch": metadata.version("torch"),
        "changed": differences(used),
        "chapters": [run.as_dict() for run in runs],
        "failures": [f"{run.chapter}, {run.error}" for run in runs if not run.passed],
    }
    target = BUILD / f"{arguments.versions}.json"
    target.with_suffix(".part").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    target.with_suffix(".part").replace(target)
    for name, (old, new) in report["changed"].items():
        print(f"   {name}: {old or 'not in the lock'} → {new}")
    print(
        f"   {len(runs) - len(report['failures'])} of {len(runs)} chapters passed; {target.relative_to(ROOT)}"
    )
    return int(bool(report["failures"]))


if __name__ == "__main__":
    sys.exit(main())
