"""Writing files so that a half-written one is never seen and an unchanged one is never touched."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_if_changed(path: Path, content: bytes | str) -> bool:
    """Give ``path`` this content; leave it alone when it has it already.

    Args:
        path: the file to write; its folder is made where it is missing.
        content: the whole content; text is written as UTF-8.

    Returns:
        Whether the file was written. An untouched file keeps its time stamp, by which Sphinx judges
        what to read again.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return True


def remove_others(folder: Path, keep: set[Path]) -> list[Path]:
    """Remove every file below ``folder`` that is not in ``keep``, then the folders left empty.

    Returns:
        The files removed, sorted.
    """
    removed = sorted(path for path in folder.rglob("*") if path.is_file() and path not in keep)
    for path in removed:
        path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return removed
