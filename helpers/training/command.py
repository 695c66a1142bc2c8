"""Fine-tunes the sentiment model from the command line: `python -m helpers.training --help`.

The same script runs on one process, on several of one machine, or on several machines:

    python -m helpers.training --out sentiment
    torchrun --standalone --nproc_per_node 2 -m helpers.training --out sentiment
    torchrun --nnodes 2 --node_rank 0 --master_addr HOST --master_port 29500 --nproc_per_node 4 \
        -m helpers.training --out sentiment      # and the same with --node_rank 1 on the second machine
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from transformers import AutoTokenizer, PreTrainedModel

from helpers.materials.cache import InUseError, locked, new_folder
from helpers.materials.checkpoints import checkpoint_folder
from helpers.materials.reviews import load_reviews
from helpers.profile import current_profile
from helpers.quiet import quiet
from helpers.training.distributed import launched_team, own_device
from helpers.training.loop import fine_tune
from helpers.training.predict import predict_logits
from helpers.training.progress import KeepsNothing
from helpers.training.recipe import Recipe
from helpers.training.resume import Checkpoints
from helpers.training.sentiment import sentiment_classifier
from helpers.training.targets import soft_targets


def arguments(command: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.training", description="Fine-tune the course's encoder on the movie reviews."
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the trained model; must not exist yet"
    )
    parser.add_argument("--keep", type=Path, help="folder for checkpoints: a killed run goes on from there")
    parser.add_argument("--save-every", type=int, default=100, help="steps between checkpoints (%(default)s)")
    parser.add_argument("--epochs", type=int, help="passes over the data (the profile's)")
    parser.add_argument(
        "--batch-size", type=int, help="examples in a batch, over all processes (the profile's)"
    )
    parser.add_argument("--learning-rate", type=float, help="peak rate of the encoder (the profile's)")
    parser.add_argument("--examples", type=int, help="train on the first so many reviews only")
    parser.add_argument(
        "--patience", type=int, help="stop after so many epochs without a better validation accuracy"
    )
    parser.add_argument("--seed", type=int, default=0, help="of head, dropout and batches (%(default)s)")
    parsed = parser.parse_args(command)
    for name in ("epochs", "batch_size", "examples", "save_every", "patience"):
        value = getattr(parsed, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    if parsed.learning_rate is not None and not 0 < parsed.learning_rate < math.inf:
        parser.error(f"--learning-rate must be a finite number above 0, not {parsed.learning_rate}")
    if not 0 <= parsed.seed < 2**63:
        parser.error(f"--seed must be from 0 up to 2**63, not {parsed.seed}")
    if _is_taken(parsed.out):
        parser.error(f"{parsed.out} exists already: name another folder, or remove it")
    if parsed.keep is not None:
        out, keep = parsed.out.resolve(), parsed.keep.resolve()
        if out.is_relative_to(keep) or keep.is_relative_to(out):
            parser.error(
                f"--keep {parsed.keep} and --out {parsed.out} must be two folders, neither inside the other: "
                "checkpoints go when a model is removed, and a model stays when they do"
            )
        if parsed.keep.exists() and not parsed.keep.is_dir():
            parser.error(f"--keep {parsed.keep} is a file: name a folder")
    return parsed


def _is_taken(folder: Path) -> bool:
    """Whether something is there that must not be replaced: anything but an empty folder."""
    return folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir())))


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Keeps other runs from the same `out` for the time of the block, and makes sure that it can be written.

    Raises:
        InUseError: another run has it; the message names the process.
        SystemExit: nothing can be written there; with one line that says so.
    """
    with ExitStack() as held:
        parent = out.resolve().parent
        try:
            parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryDirectory(dir=parent).cleanup()
            held.enter_context(locked(out, wait=False))
        except OSError as error:
            raise SystemExit(f"--out {out} cannot be written: {error}. Name another folder.") from None
        yield


def written(out: Path, fill: Callable[[Path], None]) -> Path:
    """Fills a folder and puts it at `out`; beside it as NAME-2, NAME-3, … if something is there by now.

    If it can't be written there at all, it is filled in a new folder for temporary files.

    Returns:
        Where it is.
    """
    try:
        for number in itertools.count(1):
            target = out if number == 1 else out.with_name(f"{out.name}-{number}")
            if _is_taken(target):
                continue
            try:
                with suppress(FileNotFoundError):
                    target.rmdir()  # empty: it fails on anything else
                with new_folder(target) as scratch:
                    fill(scratch)
                return target
            except OSError:
                if not _is_taken(target):  # else it was made this moment
                    raise
    except (OSError, SafetensorError) as error:
        print(f"{out} cannot be written: {error}", file=sys.stderr)
    place = Path(tempfile.mkdtemp(prefix=f"{out.name}-"))
    fill(place)
    return place


def main(command: Sequence[str] | None = None) -> int:
    """Trains, validates, and writes the model; returns the exit status."""
    given = arguments(command)
    quiet()
    try:
        return train_and_write(given)
    except InUseError as error:
        raise SystemExit(str(error)) from None


def train_and_write(given: argparse.Namespace) -> int:
    """What `main` does with a checked command line.

    Raises:
        InUseError: another run has the same `--out` or `--keep`.
    """
    profile = current_profile()
    profile = dataclasses.replace(profile, device=own_device(profile.device))
    changes = {
        name: value
        for name in ("epochs", "batch_size", "learning_rate")
        if (value := getattr(given, name)) is not None
    }
    recipe = dataclasses.replace(Recipe.of(profile), seed=given.seed, **changes)
    reviews = load_reviews()
    train = reviews["train"]
    if given.examples:
        train = train.select(range(min(given.examples, len(train))))
    tokenizer = AutoTokenizer.from_pretrained(checkpoint_folder(profile.encoder))

    def validation_accuracy(model: PreTrainedModel) -> float:
        texts, labels = list(reviews["validation"]["text"]), np.array(reviews["validation"]["label"])
        logits = predict_logits(model, tokenizer, texts, autocast=recipe.autocast)
        return float(np.mean(logits.argmax(axis=1) == labels))

    checkpoints = KeepsNothing() if given.keep is None else Checkpoints(given.keep, every=given.save_every)
    with (
        launched_team(profile.device) as team,
        claimed(given.out) if team.rank == 0 else nullcontext(),
    ):
        model = sentiment_classifier(profile, seed=given.seed)
        history = fine_tune(
            model,
            tokenizer,
            list(train["text"]),
            soft_targets(train["rating"]),
            recipe,
            team=team,
            checkpoints=checkpoints,
            validate=validation_accuracy,
            patience=given.patience,
        )

        def fill(folder: Path) -> None:
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            history.to_csv(folder / "history.csv", index=False)

        if team.rank == 0:
            place = written(given.out, fill)
            best = history["score"].max()
            print(f"validation accuracy {best:.3f} on {len(reviews['validation']):,}; model in {place}")
            if place != given.out:
                print(f"not in {given.out}, where something else is now, or nothing can be written")
    return 0
