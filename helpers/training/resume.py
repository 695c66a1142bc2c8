"""Checkpoints of a training run: a killed run goes on from the last one as if nothing had happened."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from helpers.materials.cache import is_whole, locked, new_folder, seal
from helpers.training.parts import embeddings
from helpers.training.progress import Run, Task
from helpers.training.team import Team

KEPT = 2
"""Checkpoints in a folder: the last one, and the one before in case that is damaged."""

UNTOLD = {"_name_or_path", "_commit_hash", "architectures", "transformers_version", "dtype"}
"""Entries of a configuration that say where a model came from, not what it computes."""


def run_identity(task: Task, model: PreTrainedModel, processes: int) -> dict[str, Any]:
    """What must be the same for a checkpoint to be this run's, as JSON gives it back.

    The recipe, the data, patience and whether scores are taken, the number of processes; and the model: its
    class, modules, configuration, starting weights, and which of them the caller froze.
    """
    frozen_anyway = {id(parameter) for parameter in embeddings(model).parameters()}
    frozen = [
        name
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad and id(parameter) not in frozen_anyway
    ]
    config = {f"config.{name}": value for name, value in model.config.to_dict().items() if name not in UNTOLD}
    identity = {
        **dataclasses.asdict(task.recipe),
        "data": _digest(json.dumps(task.input_ids).encode(), task.targets.tobytes()),
        "patience": task.patience,
        "validated": task.validated,
        "processes": processes,
        "model": type(model).__name__,
        **config,
        "modules": _digest(repr(model).encode()),
        "frozen": _digest(*(name.encode() for name in frozen)) if frozen else "nothing",
        "starting weights": _digest(*_bytes(model.state_dict())),
    }
    return json.loads(json.dumps(identity, default=str))


class Checkpoints:
    """The checkpoints of one run, in a folder.

    A run that was killed goes on from the last one when it is started again with the same model and arguments,
    and ends with the weights of an undisturbed run. Of a team rank 0 writes, and all read: the folder must be
    one that all of them see.
    """

    def __init__(self, folder: Path | str, every: int = 100) -> None:
        """
        Args:
            folder: made if it is missing. Nothing in it but checkpoints is touched.
            every: steps from one checkpoint to the next; one more is written at the end.

        Raises:
            ValueError: `every` is no whole number from 1.
        """
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(
                f"From one checkpoint to the next there must be 1 or more whole steps, not {every!r}."
            )
        self.folder, self.every = Path(folder), every
        self._identity: dict[str, Any] = {}

    @contextmanager
    def opened(self, run: Run, task: Task, team: Team) -> Iterator[None]:
        """Brings `run` to the last whole checkpoint, and keeps other runs out of the folder for the block.

        Raises:
            InUseError: another process trains with this folder; the message names it.
            OSError: nothing can be written here.
            ValueError: the checkpoint belongs to another run, and the message names what differs; or the
                processes of the team found different ones.
        """
        with self._claimed() if team.rank == 0 else nullcontext():
            self._identity = run_identity(task, run.model, team.size)
            for folder in reversed(self._folders()):
                if is_whole(folder):
                    self._resume(run, folder, team)
                    break
            found = team.gathered(len(run.history))
            if len(set(found)) > 1:
                raise ValueError(
                    f"By rank, the processes found checkpoints of the steps {found} in {self.folder}. "
                    "Give all machines one shared folder, or copy that of rank 0 to each of them."
                )
            yield

    def after_step(self, run: Run, team: Team) -> None:
        """Writes a checkpoint if it is time for one; see `at_end`."""
        if len(run.history) % self.every == 0:
            self.at_end(run, team)

    def at_end(self, run: Run, team: Team) -> None:
        """Writes a checkpoint: under another name first, renamed when it is whole.

        Raises:
            OSError: it could not be written; checkpoints written before are untouched.
        """
        generators = team.gathered(_generator_states(run.model.device))
        if team.rank:
            return
        try:
            with new_folder(self.folder / f"step-{len(run.history):06d}") as scratch:
                self._write(run, scratch, generators)
                seal(scratch)
        except (OSError, SafetensorError) as error:
            raise OSError(
                f"Could not write a checkpoint into {self.folder}: {error}. Earlier ones are whole: free some "
                "space or choose another folder, and start again."
            ) from error
        for old in self._folders()[:-KEPT]:
            shutil.rmtree(old)

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        """The folder, for this run alone and without what a killed one left half-written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=self.folder).close()  # better an error now than after a hundred steps
        with locked(self.folder, wait=False):
            for half_written in self.folder.glob(".step-*"):
                if half_written.is_dir() and not half_written.is_symlink():
                    shutil.rmtree(half_written)
            yield

    def _folders(self) -> list[Path]:
        """What may be checkpoints, from the first step to the last."""
        found = {
            int(match[1]): path
            for path in self.folder.glob("step-*")
            if (match := re.fullmatch(r"step-(\d+)", path.name)) and path.is_dir() and not path.is_symlink()
        }
        return [found[step] for step in sorted(found)]

    def _write(self, run: Run, folder: Path, generators: list) -> None:
        state = run.optimizer.state_dict()
        moments = {f"{i}.{name}": value for i, row in state["state"].items() for name, value in row.items()}
        save_file(_plain(run.model.state_dict()), folder / "model.safetensors")
        save_file(_plain(moments), folder / "optimizer.safetensors")
        if run.best is not None:
            save_file(_plain(run.best), folder / "best.safetensors")
        record = {
            "identity": self._identity,
            "history": run.history,
            "epoch": run.epoch,
            "done": run.done,
            "order": run.order,
            "generators": generators,
            "groups": state["param_groups"],
            "schedule": {
                name: value for name, value in run.schedule.state_dict().items() if name != "lr_lambdas"
            },
        }
        (folder / "state.json").write_text(json.dumps(record))

    def _resume(self, run: Run, folder: Path, team: Team) -> None:
        record = json.loads((folder / "state.json").read_text())
        before, now = record["identity"], self._identity
        other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if other:
            differences = ", ".join(f"{name} was {before.get(name)}, is {now.get(name)}" for name in other)
            raise ValueError(
                f"{folder} is a checkpoint of another run ({differences}). To go on with it, make the model anew "
                "with the same seed and pass the same arguments; else choose another folder, or delete it."
            )
        run.model.load_state_dict(load_file(folder / "model.safetensors"))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in load_file(folder / "optimizer.safetensors").items():
            number, _, name = key.partition(".")
            state.setdefault(int(number), {})[name] = value
        run.optimizer.load_state_dict({"state": state, "param_groups": record["groups"]})
        run.schedule.load_state_dict(record["schedule"] | {"lr_lambdas": [None] * len(record["groups"])})
        if (folder / "best.safetensors").exists():
            run.best = load_file(folder / "best.safetensors")
        run.history, run.epoch, run.done = record["history"], record["epoch"], record["done"]
        version, internal, gauss = record["order"]
        run.order = (version, tuple(internal), gauss)
        run.rng.setstate(run.order)
        _set_generator_states(run.model.device, record["generators"][team.rank])


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _bytes(tensors: dict[str, Tensor]) -> Iterator[bytes]:
    for name, value in tensors.items():
        yield f"{name} {tuple(value.shape)} {value.dtype}".encode()
        yield value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


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
