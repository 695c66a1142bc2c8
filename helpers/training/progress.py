"""Where a training run stands, and what it asks of whoever keeps that."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel

from helpers.training.recipe import Recipe
from helpers.training.team import Team


@dataclass(frozen=True)
class Task:
    """What a run was asked to do: by this and by the model it starts from it is told from another."""

    recipe: Recipe
    input_ids: Sequence[Sequence[int]]
    targets: np.ndarray
    patience: int | None
    validated: bool
    """Whether a score is taken after each epoch."""


class Run:
    """Where a run stands: weights, optimizer, schedule, random numbers, history.

    `history` has one dict a step; `epoch` counts finished epochs, `done` the batches of the current one.
    `best` holds the weights of the best epoch, `order` the state of `rng` before the current epoch's batches.
    """

    def __init__(
        self, model: PreTrainedModel, optimizer: Optimizer, schedule: LambdaLR, rng: random.Random
    ) -> None:
        self.model, self.optimizer, self.schedule, self.rng = model, optimizer, schedule, rng
        self.history: list[dict[str, float]] = []
        self.epoch = self.done = 0
        self.best: dict[str, Tensor] | None = None
        self.order = rng.getstate()

    @property
    def examples(self) -> int:
        """Examples seen so far."""
        return int(sum(row["examples"] for row in self.history))

    def batches_left(
        self, make: Callable[..., list[list[int]]], lengths: Sequence[int], batch_size: int
    ) -> Iterator[list[int]]:
        """The batches of this epoch that are still to come."""
        self.rng.setstate(self.order)
        yield from make(lengths, batch_size, self.rng)[self.done :]

    def record(self, loss: float, examples: int) -> None:
        """Notes a finished step."""
        self.history.append(
            {"step": len(self.history), "epoch": self.epoch, "loss": loss, "examples": examples}
        )
        self.done += 1

    def end_epoch(self, score: object) -> None:
        """Notes a finished epoch, and keeps a copy of the weights if its score is the best yet.

        Args:
            score: a number, of Python, NumPy or PyTorch; None where no score is taken.

        Raises:
            ValueError: it is anything else, or not finite.
        """
        if score is not None:
            number = _finite(score)
            if number > max(self._scores(), default=-math.inf):
                self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.history[-1]["score"] = number
        self.epoch += 1
        self.done = 0
        self.order = self.rng.getstate()

    def _scores(self) -> list[float]:
        return [row["score"] for row in self.history if "score" in row]

    def has_stalled(self, patience: int | None) -> bool:
        """Whether the last `patience` epochs brought no better score."""
        scores = self._scores()
        return patience is not None and len(scores) - int(np.argmax([*scores, -np.inf])) > patience

    def take_best(self) -> None:
        """Puts the weights of the best epoch into the model."""
        if self.best is not None:
            self.model.load_state_dict(self.best)

    def table(self) -> pd.DataFrame:
        """The history, one row a step; `examples` counts those seen so far."""
        table = pd.DataFrame(self.history)
        return table.assign(examples=table["examples"].cumsum())


class Keeper(Protocol):
    """What keeps the state of a run, so that a killed one goes on: `helpers.training.resume.Checkpoints`."""

    def opened(self, run: Run, task: Task, team: Team) -> AbstractContextManager[object]:
        """Brings `run` to the last state that was kept of it; the block is the time of the run."""

    def after_step(self, run: Run, team: Team) -> None:
        """Called after each step."""

    def at_end(self, run: Run, team: Team) -> None:
        """Called when the run is done."""


class KeepsNothing:
    """A `Keeper` of runs that are short enough to be started again."""

    def opened(self, run: Run, task: Task, team: Team) -> AbstractContextManager[object]:
        """The run starts at its beginning."""
        return nullcontext()

    def after_step(self, run: Run, team: Team) -> None:
        """Nothing is kept."""

    def at_end(self, run: Run, team: Team) -> None:
        """Nothing is kept."""


def _finite(score: object) -> float:
    try:
        number = float(score)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"`validate` returned {score!r}, but a score must be one finite number.")
    return number
