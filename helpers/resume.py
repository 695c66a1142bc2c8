"""The state of a training run, kept so that a killed run goes on as if nothing had happened."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel

from helpers.cache import new_folder, sha256
from helpers.distributed import Team

KEPT = 2
"""Checkpoints in a folder: the last one, and the one before in case that is damaged."""


def run_identity(
    recipe: Any,
    input_ids: Sequence[Sequence[int]],
    targets: np.ndarray,
    model: PreTrainedModel,
    processes: int,
) -> dict[str, Any]:
    """What must be the same for a checkpoint to be this run's: recipe, data, model and team."""
    data = hashlib.sha256(json.dumps(input_ids).encode() + targets.tobytes()).hexdigest()
    shapes = {name: list(parameter.shape) for name, parameter in model.named_parameters()}
    return {
        **dataclasses.asdict(recipe),
        "data": data,
        "model": type(model).__name__,
        "weights": hashlib.sha256(json.dumps(shapes, sort_keys=True).encode()).hexdigest(),
        "processes": processes,
    }


class Run:
    """Where a run stands: weights, optimizer, schedule, random numbers, history.

    `history` has one dict a step; `epoch` counts finished epochs, `done` the batches of the current one.
    """

    def __init__(
        self, model: PreTrainedModel, optimizer: Optimizer, schedule: LambdaLR, rng: random.Random
    ) -> None:
        self.model, self.optimizer, self.schedule, self.rng = model, optimizer, schedule, rng
        self.history: list[dict[str, float]] = []
        self.epoch = self.done = 0
        self.best: dict[str, Tensor] | None = None
        self.identity: dict[str, Any] = {}
        self._order = rng.getstate()  # of the current epoch's batches

    @property
    def examples(self) -> int:
        """Examples seen so far."""
        return int(sum(row["examples"] for row in self.history))

    def batches_left(
        self, make: Callable[..., list[list[int]]], lengths: Sequence[int], batch_size: int
    ) -> Iterator[list[int]]:
        """The batches of this epoch that are still to come."""
        self.rng.setstate(self._order)
        yield from make(lengths, batch_size, self.rng)[self.done :]

    def record(self, loss: float, examples: int) -> None:
        """Notes a finished step."""
        self.history.append(
            {"step": len(self.history), "epoch": self.epoch, "loss": loss, "examples": examples}
        )
        self.done += 1

    def end_epoch(self, score: float | None) -> None:
        """Notes a finished epoch, and keeps a copy of the weights if its score is the best yet."""
        if score is not None:
            if score > max(self._scores(), default=-np.inf):
                self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.history[-1]["score"] = score
        self.epoch += 1
        self.done = 0
        self._order = self.rng.getstate()

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

    def save(self, keep: Path, team: Team) -> None:
        """Writes a checkpoint into `keep`: under another name first, renamed when it is whole.

        Raises:
            OSError: it could not be written; checkpoints written before are untouched.
        """
        generators = team.gathered(_generator_states(self.model.device))
        if team.rank:
            return
        try:
            with new_folder(keep / f"step-{len(self.history):06d}") as scratch:
                self._write(scratch, generators)
        except OSError as error:
            raise OSError(
                f"Could not write a checkpoint into {keep}: {error}. Earlier ones are whole: free some space "
                "or choose another folder, and start again."
            ) from error
        for old in sorted(keep.glob("step-*"))[:-KEPT]:
            shutil.rmtree(old)

    def _write(self, folder: Path, generators: list) -> None:
        state = self.optimizer.state_dict()
        moments = {f"{i}.{name}": value for i, row in state["state"].items() for name, value in row.items()}
        save_file(_plain(self.model.state_dict()), folder / "model.safetensors")
        save_file(_plain(moments), folder / "optimizer.safetensors")
        if self.best is not None:
            save_file(_plain(self.best), folder / "best.safetensors")
        record = {
            "identity": self.identity,
            "history": self.history,
            "epoch": self.epoch,
            "done": self.done,
            "order": self._order,
            "generators": generators,
            "groups": state["param_groups"],
            "schedule": {
                name: value for name, value in self.schedule.state_dict().items() if name != "lr_lambdas"
            },
            "sha256": {path.name: sha256(path) for path in folder.glob("*.safetensors")},
        }
        (folder / "state.json").write_text(json.dumps(record))

    def resume(self, keep: Path, identity: dict[str, Any]) -> None:
        """Goes on from the last whole checkpoint in `keep`; without one the run starts at its beginning.

        Raises:
            ValueError: the checkpoint belongs to another run; the message names what differs.
        """
        self.identity = identity
        if Team.current().rank == 0:
            for half_written in keep.glob(".step-*"):
                shutil.rmtree(half_written)
        for folder in sorted(keep.glob("step-*"), reverse=True):
            record = _read(folder)
            if record is None:
                continue
            other = {name: value for name, value in record["identity"].items() if identity.get(name) != value}
            if other:
                differences = ", ".join(
                    f"{name} was {value}, is {identity.get(name)}" for name, value in other.items()
                )
                raise ValueError(
                    f"{folder} is a checkpoint of another run ({differences}). Choose another folder, or delete it."
                )
            self._load(folder, record)
            return

    def _load(self, folder: Path, record: dict[str, Any]) -> None:
        self.model.load_state_dict(load_file(folder / "model.safetensors"))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in load_file(folder / "optimizer.safetensors").items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": record["groups"]})
        self.schedule.load_state_dict(record["schedule"] | {"lr_lambdas": [None] * len(record["groups"])})
        if (folder / "best.safetensors").exists():
            self.best = load_file(folder / "best.safetensors")
        self.history, self.epoch, self.done = record["history"], record["epoch"], record["done"]
        version, internal, gauss = record["order"]
        self._order = (version, tuple(internal), gauss)
        self.rng.setstate(self._order)
        _set_generator_states(self.model.device, record["generators"][Team.current().rank])


def _read(folder: Path) -> dict[str, Any] | None:
    """The record of a checkpoint, or None if one of its files is missing or altered."""
    try:
        record = json.loads((folder / "state.json").read_text())
        whole = all(sha256(folder / name) == digest for name, digest in record["sha256"].items())
    except (OSError, ValueError, KeyError):
        return None
    return record if whole else None


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def _generator_states(device: torch.device) -> list[str]:
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return [bytes(state.tolist()).hex() for state in states]


def _set_generator_states(device: torch.device, states: list[str]) -> None:
    tensors = [torch.tensor(list(bytes.fromhex(state)), dtype=torch.uint8) for state in states]
    torch.set_rng_state(tensors[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors[1], device)
