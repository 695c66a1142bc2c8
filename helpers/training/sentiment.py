"""The sentiment model that one chapter trains and others load."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import transformers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from helpers.materials import reviews
from helpers.materials.cache import cache_folder, locked, made_once, new_folder, seal
from helpers.materials.checkpoints import CHECKPOINTS, checkpoint_folder
from helpers.memory import release_memory
from helpers.profile import Profile
from helpers.training.batches import learning_rate_factor
from helpers.training.loop import fine_tune, ready_to_train
from helpers.training.predict import predict_logits
from helpers.training.recipe import Recipe
from helpers.training.targets import soft_targets

HELPERS = Path(__file__).resolve().parents[1]
CODE = (
    "materials/reviews.py",
    "profile.py",
    "tokens.py",
    "training/batches.py",
    "training/dropout.py",
    "training/examples.py",
    "training/loop.py",
    "training/parts.py",
    "training/predict.py",
    "training/progress.py",
    "training/recipe.py",
    "training/sentiment.py",
    "training/targets.py",
    "training/team.py",
)
"""The files that decide what is trained: this one, the loop with all that it imports, reviews and targets."""

REPLAYED = 8
"""Steps that `store_sentiment_model` trains again to compare them."""


class _Bare(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """Drops strings that stand alone: docstrings, and what is written below an attribute."""
        lone = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if lone else node


def bare(code: str) -> str:
    """Python code without comments, docstrings and layout: what is left when only the reading changes."""
    return ast.unparse(_Bare().visit(ast.parse(code)))


def sentiment_folder(profile: Profile) -> Path:
    """Where the sentiment model of this recipe, checkpoint, data, library and code is kept.

    The code is that of the whole files in `CODE`; their comments and docstrings do not count.
    """
    parts = [
        json.dumps(dataclasses.asdict(Recipe.of(profile)), sort_keys=True),
        CHECKPOINTS[profile.encoder].weights_sha256,
        reviews.ARCHIVE_SHA256,
        torch.__version__,
        transformers.__version__,
        *(bare((HELPERS / name).read_text(encoding="utf-8")) for name in CODE),
    ]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return cache_folder() / f"sentiment-{profile.name}-{key}"


def store_sentiment_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    profile: Profile,
    *,
    losses: Sequence[float],
    rates: Sequence[float],
    accuracy: float,
) -> Path | None:
    """Keeps a sentiment model for `sentiment_model` to find, if it is what `Recipe.of(profile)` gives.

    A notebook's own loop is compared with the one in `helpers`, and must agree in

    - the number of steps,
    - the encoder's learning rate after every step,
    - the losses of the first `REPLAYED` steps, which are trained again here. On a CPU they must be equal to the
      last bit: another seed, order, batch, target, dropout, optimizer or shortening of gradients shows in them,
    - the validation accuracy of `model`: it is the model at the end of these steps, not another or a changed one.

    Not seen is a loop that departs from the recipe only after these steps, at the recipe's own rates.

    Args:
        losses: of each step, in order.
        rates: the encoder's learning rate after each step, `schedule.get_last_lr()[0]`.
        accuracy: share of the validation reviews that the model labelled as the judges did after the last step,
            still within `ready_to_train`.

    Returns:
        The folder. None if the model is another one: then nothing is kept, and a line is printed that says why.
    """
    with torch.random.fork_rng():
        reason = _departs(model, tokenizer, profile, losses, rates, accuracy)
    release_memory()
    if reason:
        print(f"Kept for this kernel only: not the recipe's result ({reason}).")
        return None
    folder = sentiment_folder(profile)
    with locked(folder), new_folder(folder) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        seal(scratch)
    return folder


def _departs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    profile: Profile,
    losses: Sequence[float],
    rates: Sequence[float],
    accuracy: float,
) -> str:
    """What tells a run from the recipe's; empty if nothing does."""
    recipe, split = Recipe.of(profile), reviews.load_reviews()
    steps = recipe.epochs * math.ceil(len(split["train"]) / recipe.batch_size)
    if (len(losses), len(rates)) != (steps, steps):
        return f"{len(losses)} losses and {len(rates)} rates, where the recipe takes {steps} steps"
    for step, rate in enumerate(rates, start=1):
        due = recipe.learning_rate * learning_rate_factor(step, steps, recipe.warmup_share)
        if not math.isclose(rate, due, rel_tol=1e-9, abs_tol=1e-15):
            return f"learning rate {rate:g} after step {step}, where the recipe has {due:g}"
    with ready_to_train(model, recipe):  # as at the end of the run, to the last bit
        logits = predict_logits(model, tokenizer, split["validation"]["text"], autocast=profile.autocast)
    found = float(np.mean(logits.argmax(axis=1) == np.array(split["validation"]["label"])))
    if found != accuracy:
        return f"validation accuracy {found:.4f}, where the run ended at {accuracy:.4f}"
    replay = _train(profile, stop_after=REPLAYED)[2]
    exact = profile.device.type == "cpu"  # a GPU adds in no fixed order
    for step, (loss, due) in enumerate(zip(losses, replay, strict=False), start=1):
        if not math.isclose(loss, due, rel_tol=0 if exact else 1e-3):
            return f"loss {loss:.6f} at step {step}, where the recipe has {due:.6f}"
    return ""


def sentiment_model(profile: Profile) -> SimpleNamespace:
    """The fine-tuned sentiment model: loaded if this very recipe trained it before, else trained now.

    A stored model that was truncated or altered, or lacks a file, is trained anew.

    Returns:
        `model` (on the profile's device, in evaluation mode) and `tokenizer`.
    """

    def fill(folder: Path) -> None:
        model, tokenizer, _ = _train(profile)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    folder = made_once(sentiment_folder(profile), fill)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    return SimpleNamespace(
        model=model.to(profile.device).eval(), tokenizer=AutoTokenizer.from_pretrained(folder)
    )


def sentiment_classifier(profile: Profile, seed: int = 0) -> PreTrainedModel:
    """The profile's encoder with a new, untrained two-class head, on the profile's device."""
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint_folder(profile.encoder),
        dtype=torch.float32,
        num_labels=len(reviews.LABELS),
        id2label=dict(enumerate(reviews.LABELS)),
        label2id={label: number for number, label in enumerate(reviews.LABELS)},
    )
    return model.to(profile.device)


def _train(
    profile: Profile, stop_after: int | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, list[float]]:
    """The recipe's model and tokenizer, and the loss of each step."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint_folder(profile.encoder))
    model, train = sentiment_classifier(profile), reviews.load_reviews()["train"]
    history = fine_tune(
        model,
        tokenizer,
        train["text"],
        soft_targets(train["rating"]),
        Recipe.of(profile),
        stop_after=stop_after,
        progress=stop_after is None,
    )
    return model, tokenizer, history["loss"].tolist()
