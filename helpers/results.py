"""Figures for the text: what a notebook measured, handed to the page that quotes it."""

from __future__ import annotations

import platform
import re
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil
from IPython.display import display

GLUE_PREFIX = "application/papermill.record/"
NAMED = ("torch", "transformers", "datasets", "numpy")
"""The packages whose versions a notebook records beside its cost."""


def glue(**values: object) -> None:
    """Records values under their names, so that the text can quote them with the `glue` role.

    Nothing is shown in the notebook. A string is quoted as it stands; give numbers already formatted.
    The value is kept as a Python string literal, or the page would read "0.80" as a number and print 0.8.
    The format is myst-nb's, written here because Colab has no myst-nb
    (https://myst-nb.readthedocs.io/en/latest/render/glue.html).
    """
    for name, value in values.items():
        display(
            {f"{GLUE_PREFIX}text/plain": repr(str(value))},
            metadata={"scrapbook": {"name": name, "mime_prefix": GLUE_PREFIX}},
            raw=True,
        )


@dataclass(frozen=True)
class Cost:
    """What this kernel has used since it started."""

    seconds: float
    peak_bytes: int

    @property
    def time(self) -> str:
        """Elapsed time in words: `48 seconds` or `2 min 05 s`."""
        minutes, seconds = divmod(round(self.seconds), 60)
        return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} seconds"

    @property
    def memory(self) -> str:
        """Peak resident memory in words: `0.93 GB` (10⁹ bytes)."""
        return f"{self.peak_bytes / 1e9:.2f} GB"

    @property
    def versions(self) -> str:
        """What computed the results: `Python 3.11.7, torch 2.13.0, …`."""
        packages = ", ".join(f"{name} {metadata.version(name)}" for name in NAMED)
        return f"Python {platform.python_version()}, {packages}"

    def __str__(self) -> str:
        return f"{self.time}, {self.memory} of memory at the peak"


def kernel_cost() -> Cost:
    """Seconds since this process started and its peak resident memory."""
    return Cost(seconds=time.time() - psutil.Process().create_time(), peak_bytes=peak_memory())


def peak_memory() -> int:
    """The largest resident memory, in bytes, that this process has had.

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
