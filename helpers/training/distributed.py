"""One training run on several processes: each computes its share of a batch, gradients are averaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from helpers.training.team import Team


class LaunchedTeam(Team):
    """The processes of `torch.distributed`, whose group this process has joined."""

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model in PyTorch's DDP, whose backward pass averages gradients over the team."""
        return DistributedDataParallel(model)

    def mean(self, value: Tensor) -> float:
        """The mean of a number over the team."""
        dist.all_reduce(value)
        return (value / self.size).item()

    def gathered(self, value: object) -> list:
        """What each process passed, by rank, known to all."""
        values: list = [None] * self.size
        dist.all_gather_object(values, value)
        return values


def own_device(device: torch.device) -> torch.device:
    """The device of this process: of several GPUs, the one with the number that `torchrun` gave it."""
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


@contextmanager
def launched_team(device: torch.device) -> Iterator[Team]:
    """The team that `torchrun` launched, joined for the time of the block; without it, a team of one.

    Processes on GPUs talk through nccl, others through gloo (https://pytorch.org/docs/stable/distributed.html).
    With nccl each process must choose its GPU first: what it gathers goes through the current one.
    """
    if "WORLD_SIZE" not in os.environ:
        yield Team()
        return
    if device.type == "cuda":
        own = own_device(device)
        torch.cuda.set_device(own)
        dist.init_process_group("nccl", device_id=own)
    else:
        dist.init_process_group("gloo")
    try:
        team = LaunchedTeam(dist.get_rank(), dist.get_world_size())
        yield team if team.size > 1 else Team()
    finally:
        dist.destroy_process_group()
