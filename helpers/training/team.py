"""The processes that train together. This one alone, unless `helpers.training.distributed` brings others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """One process: `rank` 0 of `size` 1. A larger team is a `helpers.training.distributed.LaunchedTeam`."""

    rank: int = 0
    size: int = 1

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over the team."""
        return model

    def share(self, rows: Sequence[int]) -> tuple[list[int], float]:
        """This process's rows of a batch, and the factor that its mean loss takes.

        With it the average over the team is the mean over the batch, however unevenly it is cut. A
        process without a row computes one with factor 0, since all must take part in the averaging.
        """
        mine = list(rows[self.rank :: self.size])
        return (mine, len(mine) * self.size / len(rows)) if mine else (list(rows[:1]), 0.0)

    def mean(self, value: Tensor) -> float:
        """The mean of a number over the team."""
        return value.item()

    def gathered(self, value: object) -> list:
        """What each process passed, by rank, known to all."""
        return [value]
