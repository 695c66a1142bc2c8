"""How every notebook begins and ends: the profile, quiet libraries, and what the run cost."""

from __future__ import annotations

import time

import psutil
from IPython import get_ipython

from helpers.memory import MemoryWatch, release_memory
from helpers.profile import Profile, current_profile
from helpers.quiet import quiet
from helpers.results import Cost, glue

GROWTH = 100_000_000
"""Bytes by which the kernel may grow before a cell ends with giving memory back."""

_watches: list[MemoryWatch] = []


class _Returner:
    """Called after each cell: gives the memory of deleted objects back where the kernel has grown."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._held = self._process.memory_info().rss

    def __call__(self, *result: object) -> None:
        self._held = min(self._held, self._process.memory_info().rss)
        if self._process.memory_info().rss > self._held + GROWTH:
            release_memory()
            self._held = self._process.memory_info().rss


def open_chapter() -> Profile:
    """Silences the libraries' chatter, looks after the memory, and returns the profile of this run.

    From now on its peak is watched, and between cells what was deleted goes back to the system. A second
    call changes nothing.

    Raises:
        ValueError: COURSE_PROFILE names no profile.
        RuntimeError: the profile needs a GPU and there is none.
    """
    quiet()
    profile = current_profile()
    if not _watches:
        _watches.append(MemoryWatch())
        _watches[0].start()
        if shell := get_ipython():  # none where a notebook's code runs as a script
            shell.events.register("post_run_cell", _Returner())
    return profile


def close_chapter() -> Cost:
    """Seconds since the kernel started and the peak of its memory, recorded for the page's first lines."""
    peak = (_watches[0] if _watches else MemoryWatch()).peak_bytes
    cost = Cost(seconds=time.time() - psutil.Process().create_time(), peak_bytes=peak)
    glue(cost_time=cost.time, cost_memory=cost.memory, cost_versions=cost.versions)
    return cost
