"""Memory: how much a notebook and the processes that it starts hold, and giving it back."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import threading
from pathlib import Path

import psutil

INTERVAL = 0.5
"""Seconds between two looks at the processes that a notebook started."""


def release_memory() -> None:
    """Gives the memory of deleted objects back to the system.

    Python frees what nothing refers to, but the C library keeps freed blocks for later, with holes between
    them; glibc's malloc_trim(3) returns them. Elsewhere than on glibc only the garbage is collected.
    """
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def own_peak() -> int:
    """The largest resident memory, in bytes, that this process has had, those that it started left out.

    On Linux it is read from the kernel's record of this program: `getrusage` would begin with the peak of the
    process that started it.
    """
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024  # type: ignore[index]
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def held_together(processes: list[psutil.Process]) -> int:
    """The memory, in bytes, that these processes hold: on Linux a page that several share counts once.

    A process that ends meanwhile, or may not be looked at, counts nothing.
    """
    total = 0
    for process in processes:
        try:
            memory = process.memory_full_info() if sys.platform == "linux" else process.memory_info()
        except psutil.Error:
            continue
        total += getattr(memory, "pss", memory.rss)
    return total


class MemoryWatch(threading.Thread):
    """Looks every `INTERVAL` seconds at what this process and those that it started hold together.

    What a child holds for less than that may be missed. This process alone needs no watch: the system
    keeps its peak.
    """

    def __init__(self) -> None:
        super().__init__(name="memory watch", daemon=True)
        self._largest = 0
        self._ended = threading.Event()

    @property
    def peak_bytes(self) -> int:
        """The largest sum seen, or this process's own peak where that is larger."""
        return max(self._largest, own_peak())

    def run(self) -> None:
        """Looks until `end` is called."""
        own = psutil.Process()
        while not self._ended.wait(INTERVAL):
            if children := own.children(recursive=True):
                self._largest = max(self._largest, held_together([own, *children]))

    def end(self) -> None:
        """Stops looking."""
        self._ended.set()
