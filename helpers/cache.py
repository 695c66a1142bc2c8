"""Where downloaded data and trained models are kept, and how files get there whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def cache_folder() -> Path:
    """The folder that holds what is fetched or trained; made if it is missing.

    `COURSE_CACHE` names it. Without that it is `build/cache` in a clone of the course and
    `~/.cache/transformers-course` where `helpers` was installed as a package.
    """
    if named := os.environ.get("COURSE_CACHE"):
        folder = Path(named).expanduser()
    elif (PROJECT / "_toc.yml").exists():
        folder = PROJECT / "build" / "cache"
    else:
        folder = Path.home() / ".cache" / "transformers-course"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Read once a process for each state of the file."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` when the block ends well, and vanishes when it fails.

    A reader never meets a half-written `target`, and an existing one is replaced only at the end.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield scratch
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
