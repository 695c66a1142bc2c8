"""Opens JupyterLab on a learner's own copy of the notebooks, or on the sources: ``python -m book.lab``."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from book.edition.notebooks import MANIFEST
from book.edition.references import START
from book.files import write_if_changed
from book.repository import NOTEBOOKS_BRANCH

OWN = "my-notebooks"
RECORD = ".edition.json"
"""In the learner's folder: from which source each notebook came last."""

UNWANTED = ("@jupyterlab/apputils-extension:announcements",)
"""Parts of JupyterLab that ask other servers."""

FOR_AUTHORS = ("jupyterlab-myst",)
"""Parts that only the sources need."""

WANTED = {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}
"""Settings to begin with, which the learner can change. All cells are drawn at once: a link to a cell of a
notebook that is drawn as one scrolls does not arrive."""

NO_EDITION = 3
"""The exit status that asks for `make notebooks`."""


class LabError(RuntimeError):
    """The notebooks cannot be handed out; the message says why and what to do."""


@dataclass(frozen=True)
class Edition:
    """The learner's notebooks as they are handed out: their contents, and the hashes of their sources."""

    contents: Mapping[str, bytes]
    sources: Mapping[str, str]


def built_edition(root: Path) -> Edition | None:
    """The edition in ``build/notebooks``, if it is there whole."""
    folder = root / "build" / "notebooks"
    try:
        sources = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return Edition({name: (folder / name).read_bytes() for name in sources}, sources)
    except (OSError, ValueError):
        return None


def published_edition(root: Path) -> Edition | None:
    """The edition that the clone's origin publishes, as the clone knows it: no network is asked."""

    def show(name: str) -> bytes:
        command = ["git", "show", f"refs/remotes/origin/{NOTEBOOKS_BRANCH}:{name}"]
        return subprocess.run(command, cwd=root, capture_output=True, check=True).stdout

    try:
        sources = json.loads(show(MANIFEST))
        return Edition({name: show(name) for name in sources}, sources)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def is_current(edition: Edition, root: Path) -> bool:
    """Whether an edition was made from the chapters as they stand in ``root``."""
    return all(
        any(
            path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == wanted
            for path in _sources(root, name)
        )
        for name, wanted in edition.sources.items()
    )


def _sources(root: Path, name: str) -> list[Path]:
    stem = name.removesuffix(".ipynb")
    stem = "index" if stem == START else stem
    return [root / "chapters" / f"{stem}{ending}" for ending in (".ipynb", ".md")]


def choose(root: Path) -> Edition | None:
    """The edition to hand out: one of the chapters as they stand, else the published one, else the last built."""
    built, published = built_edition(root), published_edition(root)
    for edition in (built, published):
        if edition and is_current(edition, root):
            return edition
    return published or built


def hand_out(edition: Edition, own: Path, today: date) -> list[str]:
    """Bring new notebooks into the learner's folder; what is there is never written over.

    A notebook whose source changed since it was handed out comes beside the learner's, its name with the
    date. One that the learner removed comes again.

    Returns:
        What came, as paths below ``own``.

    Raises:
        LabError: the folder cannot be written.
    """
    try:
        record = json.loads((own / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = {}
    came = []
    try:
        for name, content in edition.contents.items():
            target = own / name
            if target.exists():
                if record.get(name) == edition.sources[name]:
                    continue
                target = _beside(target, content, today)
            if write_if_changed(target, content):
                came.append(target.relative_to(own).as_posix())
            record[name] = edition.sources[name]
            write_if_changed(own / RECORD, json.dumps(record, indent=1) + "\n")
    except OSError as error:
        raise LabError(
            f"{error.filename or own} cannot be written ({error.strerror}); give yourself the right to write "
            "there, or name another folder: make lab OWN=FOLDER"
        ) from error
    return came


def _beside(target: Path, content: bytes, today: date) -> Path:
    number = 1
    while True:
        more = "" if number == 1 else f", {number}"
        path = target.with_name(f"{target.stem} ({today.isoformat()}{more}){target.suffix}")
        if not path.exists() or path.read_bytes() == content:
            return path
        number += 1


def command(folder: Path, page: str, options: list[str]) -> list[str]:
    """The command that opens JupyterLab on ``page`` of ``folder``; root needs to say that it may."""
    asked = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"]
    asked.append(f"--LabApp.default_url=/lab/tree/{page}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        asked.append("--allow-root")
    return asked + options


def settings(root: Path, off: tuple[str, ...]) -> dict[str, str]:
    """The environment in which these parts of JupyterLab are switched off and `WANTED` holds."""
    folder = root / "build" / "lab" / hashlib.sha256(" ".join(off).encode()).hexdigest()[:8]
    page = {"disabledExtensions": dict.fromkeys(off, True)}
    write_if_changed(folder / "labconfig" / "page_config.json", json.dumps(page) + "\n")
    write_if_changed(folder / "labconfig" / "default_setting_overrides.json", json.dumps(WANTED) + "\n")
    others = os.environ.get("JUPYTER_CONFIG_PATH")
    return {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, [str(folder), others]))}


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run a command in the place of this program, so that it gets Ctrl-C and all other signals."""
    if os.name == "posix":
        os.execve(command[0], command, environment)
    return subprocess.call(command, env=environment)


def main(arguments: list[str] | None = None) -> int:
    """The command line; `NO_EDITION` when there are no notebooks to hand out yet."""
    parser = argparse.ArgumentParser(
        prog="python -m book.lab", description="Open JupyterLab on your own copy of the notebooks."
    )
    parser.add_argument("--source", action="store_true", help="open chapters/ instead, as its authors do")
    parser.add_argument("--own", type=Path, default=Path(OWN), help=f"your folder (default: {OWN})")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    given, options = parser.parse_known_args(arguments)
    root = given.root.resolve()
    if given.source:
        environment = settings(root, UNWANTED)
        return run(command(root / "chapters", "index.md", options), environment)
    edition = choose(root)
    if edition is None:
        print("lab: there are no notebooks yet. They are made with the book: make notebooks", file=sys.stderr)
        return NO_EDITION
    own = root / given.own
    try:
        came = hand_out(edition, own, date.today())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    if came:
        what = f"{len(came)} notebooks" if len(came) > 5 else ", ".join(came)
        print(f"lab: new in {given.own}: {what}", flush=True)
    environment = settings(root, UNWANTED + FOR_AUTHORS)
    return run(command(own, f"{START}.ipynb", options), environment)


if __name__ == "__main__":
    raise SystemExit(main())
