"""How every notebook begins and ends: the profile, quiet libraries, and what the run cost."""

from __future__ import annotations

import time

import psutil

from helpers.memory import MemoryWatch
from helpers.profile import Profile, current_profile
from helpers.quiet import quiet
from helpers.results import Cost, glue

_watches: list[MemoryWatch] = []


def open_chapter() -> Profile:
    """Silences the libraries' chatter, begins to watch the memory, and returns the profile of this run.

    A second call goes on with the watch of the first.

    Raises:
        ValueError: COURSE_PROFILE names no profile.
        RuntimeError: the profile needs a GPU and there is none.
    """
    quiet()
    profile = current_profile()
    if not _watches:
        _watches.append(MemoryWatch())
        _watches[0].start()
    return profile


def close_chapter() -> Cost:
    """Seconds since the kernel started and the peak of its memory, recorded for the page's first lines."""
    peak = (_watches[0] if _watches else MemoryWatch()).peak_bytes
    cost = Cost(seconds=time.time() - psutil.Process().create_time(), peak_bytes=peak)
    glue(cost_time=cost.time, cost_memory=cost.memory, cost_versions=cost.versions)
    return cost
