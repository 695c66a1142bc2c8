"""Giving memory back."""

from __future__ import annotations

import ctypes
import gc
import sys


def release_memory() -> None:
    """Gives the memory of deleted objects back to the system.

    Python frees what nothing refers to, but the C library keeps freed blocks for later, with holes between
    them; glibc's malloc_trim(3) returns them. Elsewhere than on glibc only the garbage is collected.
    """
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
