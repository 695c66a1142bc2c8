"""What is being executed, how long that takes, and about how long the rest will."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from statistics import mean
from typing import TextIO

from nbformat import NotebookNode
from tqdm import tqdm

from helpers.results import Cost


def known_seconds(executed: NotebookNode | None) -> float | None:
    """How long a notebook took when it was executed; None where that is not recorded."""
    cells = executed.cells if executed else []
    records = [cell.metadata.get("execution", {}) for cell in cells if cell.cell_type == "code"]
    moments = [datetime.fromisoformat(moment) for times in records for moment in times.values()]
    return (max(moments) - min(moments)).total_seconds() if moments else None


def words(seconds: float) -> str:
    """A time in words: `48 seconds` or `2 min 05 s`."""
    return Cost(seconds, 0).time


class Progress:
    """A moving line on a terminal; elsewhere a line for each chapter that has ended.

    Args:
        expected: each chapter's seconds the last time, None where unknown: it is taken for an average one.
        stream: where to write.
    """

    def __init__(self, expected: dict[str, float | None], stream: TextIO | None = None) -> None:
        known = [seconds for seconds in expected.values() if seconds]
        self.known = bool(known)
        self.weights = {
            name: seconds or (mean(known) if known else 1.0) for name, seconds in expected.items()
        }
        self.ended, self.pace = 0.0, 1.0
        self.begun = self.chapter_begun = time.monotonic()
        self.chapter = ""
        stream = stream or sys.stdout
        self.live = stream.isatty()
        self.bar = tqdm(
            total=sum(self.weights.values()),
            file=stream,
            disable=not self.live,
            leave=False,
            dynamic_ncols=True,
            bar_format="   {desc} |{bar}| {postfix}",
        )
        self.stream = stream

    def begin(self, chapter: str) -> None:
        """Says that a chapter runs from now on."""
        self.chapter, self.chapter_begun = chapter, time.monotonic()
        self.tick()

    def tick(self) -> None:
        """Brings the line up to date."""
        taken = time.monotonic() - self.chapter_begun
        self.bar.n = self.ended + (min(taken, self.weights[self.chapter]) if self.known else 0.0)
        self.bar.set_description_str(f"{self.chapter}, {words(taken)}", refresh=False)
        self.bar.set_postfix_str(self._left(self.bar.n), refresh=True)

    def end(self, outcome: str = "") -> None:
        """Says that the chapter has ended, how long it took, and what is about left."""
        self.ended += self.weights[self.chapter]
        self.pace = (time.monotonic() - self.begun) / self.ended
        line = f"   {self.chapter:20} {words(time.monotonic() - self.chapter_begun):>12}"
        rest = [part for part in (outcome, self._left(self.ended)) if part]
        self.say("; ".join([line, *rest]))

    def say(self, text: str) -> None:
        """Writes lines above the moving one."""
        self.bar.write(text, file=self.stream)
        self.stream.flush()

    def close(self) -> None:
        """Takes the moving line away."""
        self.bar.close()

    def _left(self, done: float) -> str:
        left = (sum(self.weights.values()) - done) * self.pace
        return f"about {words(left)} left" if left > 0.5 and (self.ended or self.known) else ""
