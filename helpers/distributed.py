"""One training run on several processes: each computes its share of a batch, gradients are averaged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Team:
    """The processes that train together: this one's `rank` of `size`."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> Team:
        """The team that this process belongs to; without `torch.distributed`, a team of one."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over the team (PyTorch's DDP)."""
        return DistributedDataParallel(model) if self.size > 1 else model

    def share(self, rows: Sequence[int]) -> tuple[list[int], float]:
        """This process's rows of a batch, and the factor that its mean loss takes.

        With it the average over the team is the mean over the batch, however unevenly it is cut. A
        process without a row computes one with factor 0, since all must take part in the averaging.
        """
        mine = list(rows[self.rank :: self.size])
        return (mine, len(mine) * self.size / len(rows)) if mine else (list(rows[:1]), 0.0)

    def mean(self, value: Tensor) -> float:
        """The mean of a number over the team."""
        if self.size > 1:
            dist.all_reduce(value)
            value = value / self.size
        return value.item()

    def gathered(self, value: object) -> list:
        """What each process passed, by rank, known to all."""
        if self.size == 1:
            return [value]
        values: list = [None] * self.size
        dist.all_gather_object(values, value)
        return values


@contextmanager
def launched_team(device: torch.device) -> Iterator[Team]:
    """The team that `torchrun` launched, joined for the time of the block; without it, a team of one.

    Processes on GPUs talk through nccl, others through gloo (https://pytorch.org/docs/stable/distributed.html).
    """
    if "WORLD_SIZE" not in os.environ:
        yield Team()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team.current()
    finally:
        dist.destroy_process_group()
