"""Figures for the text: what a notebook measured, handed to the page that quotes it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata

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
    """What a notebook has used since its kernel started, the processes that it started counted."""

    seconds: float
    peak_bytes: int

    @property
    def time(self) -> str:
        """Elapsed time in words: `48 seconds` or `2 min 05 s`."""
        minutes, seconds = divmod(round(self.seconds), 60)
        return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} seconds"

    @property
    def memory(self) -> str:
        """Peak memory in words: `0.93 GB` (10⁹ bytes)."""
        return f"{self.peak_bytes / 1e9:.2f} GB"

    @property
    def versions(self) -> str:
        """What computed the results: `Python 3.11.7, torch 2.13.0, …`."""
        packages = ", ".join(f"{name} {metadata.version(name)}" for name in NAMED)
        return f"Python {platform.python_version()}, {packages}"

    def __str__(self) -> str:
        return f"{self.time}, {self.memory} of memory at the peak"
