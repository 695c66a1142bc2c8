"""Fine-tunes the sentiment model from the command line: `python -m helpers.finetune --help`.

The same script runs on one process, on several of one machine, or on several machines:

    python -m helpers.finetune --out sentiment
    torchrun --standalone --nproc_per_node 2 -m helpers.finetune --out sentiment
    torchrun --nnodes 2 --node_rank 0 --master_addr HOST --master_port 29500 --nproc_per_node 4 \
        -m helpers.finetune --out sentiment      # and the same with --node_rank 1 on the second machine
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedModel

from helpers.cache import new_folder
from helpers.checkpoints import checkpoint_folder
from helpers.distributed import launched_team
from helpers.profile import Profile, current_profile
from helpers.quiet import quiet
from helpers.reviews import load_reviews
from helpers.training import Recipe, fine_tune, predict_logits, sentiment_classifier, soft_targets


def arguments(command: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.finetune", description="Fine-tune the course's encoder on the movie reviews."
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
    for name in ("epochs", "batch_size", "examples", "save_every"):
        value = getattr(parsed, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    if parsed.learning_rate is not None and not parsed.learning_rate > 0:
        parser.error(f"--learning-rate must be above 0, not {parsed.learning_rate}")
    if parsed.out.exists():
        parser.error(f"{parsed.out} exists already: name another folder, or remove it")
    return parsed


def on_this_process(profile: Profile) -> Profile:
    """The profile with this process's own GPU, where it has one."""
    if profile.device.type != "cuda":
        return profile
    return dataclasses.replace(profile, device=torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))))


def main(command: Sequence[str] | None = None) -> int:
    """Trains, validates, and writes the model; returns the exit status."""
    given = arguments(command)
    quiet()
    profile = on_this_process(current_profile())
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

    with launched_team(profile.device) as team:
        model = sentiment_classifier(profile, seed=given.seed)
        history = fine_tune(
            model,
            tokenizer,
            list(train["text"]),
            soft_targets(train["rating"]),
            recipe,
            keep=given.keep,
            save_every=given.save_every,
            validate=validation_accuracy,
            patience=given.patience,
        )
        if team.rank == 0:
            with new_folder(given.out) as scratch:
                model.save_pretrained(scratch)
                tokenizer.save_pretrained(scratch)
                history.to_csv(scratch / "history.csv", index=False)
            best = history["score"].max()
            print(f"validation accuracy {best:.3f} on {len(reviews['validation']):,}; model in {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
