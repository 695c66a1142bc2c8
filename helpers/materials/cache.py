"""Where downloaded data and trained models are kept, and how files get there whole.

A folder of the cache is filled aside, sealed with the digests of its files, and then put in its place. Who finds
it whole needs no lock; who must fill it holds one, so that processes that start together fill it once.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

PROJECT = Path(__file__).resolve().parents[2]
RECORD = "SHA256SUMS"
"""The file that seals a folder: a line `DIGEST  NAME` for each other file, as `sha256sum --check` reads it."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of renameat2(2): paths start at the working folder; swap the two


class CacheError(RuntimeError):
    """The cache cannot be used as it is; the message says what to do."""


class InUseError(CacheError):
    """Another process holds the lock; the message names the process."""


def cache_folder() -> Path:
    """The folder that holds what is fetched or trained; made if it is missing.

    `COURSE_CACHE` names it. Without that it is `build/cache` in a clone of the course and
    `~/.cache/transformers-course` where `helpers` was installed as a package.

    Raises:
        CacheError: `COURSE_CACHE` is a relative path, which would be another folder in each notebook's own.
    """
    if named := os.environ.get("COURSE_CACHE"):
        folder = Path(named).expanduser()
        if not folder.is_absolute():
            raise CacheError(
                f"COURSE_CACHE={named!r} is a relative path: each notebook would take it from its own folder. "
                f"Give the whole path, such as COURSE_CACHE={Path(named).absolute()}"
            )
    elif (PROJECT / "_toc.yml").exists():
        folder = PROJECT / "build" / "cache"
    else:
        folder = Path.home() / ".cache" / "transformers-course"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Read once a process for each state of the file."""
    status = path.stat()
    return _sha256(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache
def _sha256(path: Path, inode: int, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path) -> None:
    """Records the digests of all files of a folder in it, for `is_whole`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / RECORD)
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / RECORD).write_text("".join(lines), encoding="utf-8")


def is_whole(folder: Path) -> bool:
    """Whether a folder was sealed, and each of its recorded files is there and unchanged.

    A missing folder and a missing or damaged record are answers, too: False.
    """
    try:
        lines = (folder / RECORD).read_text(encoding="utf-8").splitlines()
        pairs = [line.partition("  ") for line in lines]
        return bool(pairs) and all(sha256(folder / name) == digest for digest, _, name in pairs)
    except (OSError, ValueError):
        return False


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Holds the lock of `path`, a file or folder that need not exist; the lock lies beside it.

    A process that dies loses its locks.

    Args:
        wait: whether to wait while another process holds it.

    Raises:
        InUseError: it is held, and `wait` is False; the message names who holds it.
    """
    place = path.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    lock, holder = (place.with_name(f".{place.name}.{ending}") for ending in ("lock", "holder"))
    held = FileLock(lock)
    try:
        held.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise InUseError(
            f"{path} is in use by {_said(holder)}. Wait until it has ended, or stop it."
        ) from None
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        held.release()


def _said(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8") or "another process"
    except FileNotFoundError:  # it has just begun, or just ended
        return "another process"


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A scratch folder that becomes `target` when the block ends well, and vanishes when it fails.

    A folder that is there is replaced at the end, in one step: a reader meets the old one or the new one. Only
    the folder that was there at the start is replaced. Where `target` is a symbolic link, the folder that it
    leads to is replaced, and the link stays. All files get the permissions that the user's umask leaves.

    Raises:
        FileExistsError: `target` is a file, or something was put in its place meanwhile; it is left as it is.
    """
    place = target.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and not place.is_dir():
        raise FileExistsError(
            f"{place} is a file, where a folder is to be. Remove it, or name another folder."
        )
    replaced = _identity(place)
    scratch = place.with_name(f".{place.name}-{uuid4().hex}")
    scratch.mkdir()
    try:
        yield scratch
        _open_to_others(scratch)
        _put(scratch, place, replaced)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def made_once(target: Path, fill: Callable[[Path], object]) -> Path:
    """`target`, whole: if it is missing or damaged, `fill` writes the files into a folder that takes its place.

    Of several processes that need it at once the first fills it, and the others wait.
    """
    if not is_whole(target):
        with locked(target):
            if not is_whole(target):
                with new_folder(target) as scratch:
                    fill(scratch)
                    seal(scratch)
    return target


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells this folder from another of its name; None if nothing is there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _open_to_others(folder: Path) -> None:
    """Gives the files in a folder the permissions of the folder itself, which a new folder has from the umask.

    Programs that write by way of a temporary file leave it readable for its owner alone.
    """
    allowed = folder.stat().st_mode & 0o777
    for path in folder.rglob("*"):
        if not path.is_symlink():
            own = path.stat().st_mode & 0o777
            path.chmod((own | (0o777 if path.is_dir() else 0o666)) & allowed)


def _put(scratch: Path, place: Path, replaced: tuple[int, int] | None) -> None:
    """Puts `scratch` in `place`; what was replaced is then in `scratch`."""
    taken = FileExistsError(f"{place} was made by another process meanwhile; it is left as it is.")
    if replaced is None or not place.exists():
        try:
            scratch.rename(place)  # refuses a file, and a folder that holds something
        except OSError:
            if place.exists():
                raise taken from None
            raise
        return
    _swap(scratch, place)
    if _identity(scratch) != replaced:
        _swap(scratch, place)
        raise taken


def _swap(one: Path, other: Path) -> None:
    """Swaps the names of two folders: in one step on Linux, where the file system can, else in three."""
    swap = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    first, second = os.fsencode(one), os.fsencode(other)
    if swap and swap(_AT_FDCWD, first, _AT_FDCWD, second, _RENAME_EXCHANGE) == 0:
        return
    aside = one.with_name(f"{one.name}-old")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)
