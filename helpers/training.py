"""The fine-tuning loop of chapter 8, for the chapters that use it after it has been taught."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from helpers import dropout, resume, reviews
from helpers.cache import cache_folder, new_folder, sha256
from helpers.checkpoints import CHECKPOINTS, checkpoint_folder
from helpers.distributed import Team
from helpers.profile import Profile
from helpers.resume import Run, run_identity


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a fine-tuning run goes."""

    epochs: int
    batch_size: int
    learning_rate: float
    """Of the encoder, at the peak of the schedule: linear warm-up, then linear decay to zero."""
    head_learning_rate: float
    """Of the pooler and the classifier, at the peak."""
    autocast: bool
    """Compute the forward pass in bfloat16; weights and updates stay float32."""
    compile_from: int | None = None
    """Steps of training from which `torch.compile` repays itself (see `compiled`); None: never."""
    dropout: float | None = None
    """Share of activations set to zero at random while training; None leaves it to the model."""
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    seed: int = 0

    @classmethod
    def of(cls, profile: Profile) -> Recipe:
        """The recipe that a profile asks for."""
        return cls(
            epochs=profile.epochs,
            batch_size=profile.batch_size,
            learning_rate=profile.learning_rate,
            head_learning_rate=profile.head_learning_rate,
            autocast=profile.autocast,
            compile_from=profile.compile_from,
        )


def length_bucketed_batches(
    lengths: Sequence[int], batch_size: int, rng: random.Random | None = None
) -> list[list[int]]:
    """Row numbers in batches of like length: little padding.

    Args:
        lengths: tokens of each row.
        rng: shuffles rows of equal length among each other and the order of the batches. Without it
            the batches come from short to long.

    Raises:
        ValueError: no rows, or a batch size below 1.
    """
    if not lengths or batch_size < 1:
        raise ValueError(
            f"{len(lengths)} rows in batches of {batch_size}: there must be at least one of each."
        )
    order = list(range(len(lengths)))
    if rng:
        rng.shuffle(order)
    order.sort(key=lambda row: lengths[row])
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if rng:
        rng.shuffle(batches)
    return batches


def learning_rate_factor(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak learning rate at `step` (from 0): up to 1 linearly, then down to 0."""
    warmup = max(1, round(warmup_share * steps))
    if step < warmup:
        return (step + 1) / warmup
    return (steps - step) / max(1, steps - warmup)


def soft_targets(ratings: Sequence[float]) -> np.ndarray:
    """What the judges' mean rating r says of each class: `(1 - p, p)` with `p = sigmoid(2 r)`.

    Args:
        ratings: n mean ratings, -4 to 4.

    Returns:
        Shape (n, 2), float32; rows sum to 1. A clear rating gives almost 0 and 1, one near 0 a half.
    """
    positive = 1 / (1 + np.exp(-2 * np.asarray(ratings, dtype=np.float64)))
    return np.stack([1 - positive, positive], axis=1).astype(np.float32)


def padded(tokenizer: PreTrainedTokenizerBase, input_ids: list[list[int]]) -> BatchEncoding:
    """A batch as tensors of shape (B, T), T the next multiple of 8: few shapes for the CPU to prepare for."""
    return tokenizer.pad({"input_ids": input_ids}, return_tensors="pt", pad_to_multiple_of=8)


def mixed_precision(device: torch.device, autocast: bool):
    """The context of a forward pass: bfloat16 autocast, or nothing."""
    return torch.autocast(device.type, torch.bfloat16) if autocast else nullcontext()


@contextmanager
def ready_to_train(model: PreTrainedModel, recipe: Recipe) -> Iterator[None]:
    """The model with frozen embeddings and the recipe's dropout, computed the way that trains fastest here.

    On a CPU attention goes by plain matrix products: PyTorch's fused kernel saves memory, but its backward
    pass is slower on short texts. Dropout there takes its random numbers byte by byte (`helpers.dropout`).
    Under autocast the embeddings hand their result on in bfloat16, or all residual sums would stay in
    float32 and be converted again at every layer.

    When the block ends, however it ends, the model is in evaluation mode without gradients, and all but the
    frozen embeddings is as before.
    """
    kind = model.device.type
    dropouts = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    shares = [module.p for module in dropouts]
    embeddings = cast(torch.nn.Module, model.base_model.embeddings)
    embeddings.requires_grad_(False)
    hook = embeddings.register_forward_hook(
        lambda module, inputs, output: output.bfloat16() if torch.is_autocast_enabled(kind) else output
    )
    for module in dropouts:
        module.p = module.p if recipe.dropout is None else recipe.dropout
    try:
        with dropout.byte_dropout(model) if kind == "cpu" else nullcontext():
            yield
    finally:
        model.zero_grad()
        model.eval()
        hook.remove()
        for module, share in zip(dropouts, shares, strict=True):
            module.p = share


def compiled(
    model: torch.nn.Module, compile_from: int | None, steps: int, backend: str | Callable = "inductor"
) -> Callable:
    """A compiled front of the model where `steps` steps of training repay the compilation, else the model.

    The first steps, forward and backward, take tens of seconds longer. Then each launches fewer, fused
    kernels: that saves milliseconds where a GPU waits for Python, as with short texts and small batches. By
    this estimate, not by a measurement, the 378 steps of the course's own run do not repay it, and those of
    50,000 texts do. Lengths are symbolic (`dynamic=True`), or every new length of a batch would be compiled
    anew. The model keeps its names and, up to rounding, its results. Needs a C++ compiler and, on a GPU,
    Triton.

    Args:
        backend: what the graphs are handed to (https://pytorch.org/docs/stable/torch.compiler.html).
    """
    if compile_from is None or steps < compile_from:
        return model
    return torch.compile(model, dynamic=True, backend=backend)


def fine_tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    targets: np.ndarray,
    recipe: Recipe,
    *,
    keep: Path | None = None,
    save_every: int = 100,
    validate: Callable[[PreTrainedModel], float] | None = None,
    patience: int | None = None,
    after_step: Callable[[int], None] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Trains a sequence classifier in place, embeddings frozen; the loop is chapter 8's.

    Under `torchrun` each process takes its share of every batch, and all end with the same weights.

    Args:
        model: on the device where it shall train.
        targets: shape (len(texts), classes), rows sum to 1: the probability that each class deserves.
            One-hot rows give the usual cross-entropy; see also `soft_targets`.
        keep: a folder for checkpoints. A run that was killed goes on from the last one when it is
            started again, and ends with the weights of an undisturbed run.
        save_every: steps from one checkpoint to the next.
        validate: a score of the model, larger is better, taken after each epoch. The model ends with
            the weights of the best epoch.
        patience: stop after so many epochs without a better score.
        after_step: called with the number of finished steps after each of them.
        progress: show a bar with loss, examples a second and the time left.

    Returns:
        One row a step: `step`, `epoch`, `loss` (mean cross-entropy, nats), `examples` seen so far, and
        with `validate` the `score` at the last step of each epoch.

    Raises:
        ValueError: no texts, targets of another shape or not summing to 1, or a checkpoint of another run.
        FloatingPointError: the loss is not a number.
        OSError: a checkpoint could not be written; those before it are whole.
    """
    _check_targets(len(texts), targets, int(model.config.num_labels or 0))
    team = Team.current()
    torch.manual_seed(recipe.seed + team.rank)
    input_ids = tokenizer(list(texts), truncation=True)["input_ids"]
    lengths = [len(ids) for ids in input_ids]
    goal = torch.tensor(targets, device=model.device)

    trained, optimizer = _optimizer(model, recipe)
    steps = recipe.epochs * math.ceil(len(input_ids) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, steps, recipe.warmup_share)
    )
    run = Run(model, optimizer, schedule, random.Random(recipe.seed))
    if keep is not None:
        run.resume(keep, run_identity(recipe, input_ids, targets, model, team.size))
    bar = tqdm(
        total=recipe.epochs * len(input_ids),
        initial=run.examples,
        unit=" examples",
        desc="fine-tuning",
        disable=not progress or team.rank > 0,
    )
    with bar, ready_to_train(model, recipe):
        parallel = compiled(team.wrapped(model), recipe.compile_from, steps)
        while run.epoch < recipe.epochs and not run.has_stalled(patience):
            model.train()
            for rows in run.batches_left(length_bucketed_batches, lengths, recipe.batch_size):
                mine, weight = team.share(rows)
                batch = padded(tokenizer, [input_ids[row] for row in mine])
                with mixed_precision(model.device, recipe.autocast):
                    logits = parallel(**batch.to(model.device)).logits
                loss = weight * F.cross_entropy(logits.float(), goal[mine])
                value = team.mean(loss.detach().clone())
                if not math.isfinite(value):
                    raise FloatingPointError(
                        f"The loss is {value} at step {len(run.history)}. Lower the learning rate "
                        f"({recipe.learning_rate}) and start again from the checkpoint."
                    )
                loss.backward()
                torch.nn.utils.clip_grad_norm_(trained, recipe.max_gradient_norm)
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
                run.record(value, len(rows))
                if keep is not None and len(run.history) % save_every == 0:
                    run.save(keep, team)
                bar.update(len(rows))
                bar.set_postfix(loss=f"{value:.3f}", refresh=False)
                if after_step is not None:
                    after_step(len(run.history))
                    model.train()
            run.end_epoch(None if validate is None else validate(model))
        run.take_best()
        if keep is not None:
            run.save(keep, team)
    table = pd.DataFrame(run.history)
    return table.assign(examples=table["examples"].cumsum())


def _check_targets(texts: int, targets: np.ndarray, classes: int) -> None:
    if not texts:
        raise ValueError("There is nothing to train on: 0 texts.")
    if targets.shape != (texts, classes):
        raise ValueError(
            f"{texts} texts and {classes} classes need targets of shape ({texts}, {classes}), "
            f"not {targets.shape}."
        )
    if not np.isfinite(targets).all() or (targets < 0).any() or not np.allclose(targets.sum(1), 1, atol=1e-3):
        raise ValueError(
            "Each row of the targets must sum to 1, without negative entries: one probability a class."
        )


def one_hot_targets(labels: Sequence[int], classes: int = 2) -> np.ndarray:
    """Labels as targets of `fine_tune`: shape (len(labels), classes), float32.

    Raises:
        ValueError: a label is not one of 0 to classes - 1; the message names it and where it stands.
    """
    wrong = [(row, label) for row, label in enumerate(labels) if label not in range(classes)]
    if wrong:
        row, label = wrong[0]
        raise ValueError(
            f"Label {label!r} at row {row} is not among 0 to {classes - 1} ({len(wrong)} such rows). "
            "Map the labels to these numbers, or make the model with more classes (num_labels)."
        )
    return np.eye(classes, dtype=np.float32)[np.asarray(labels, dtype=int)]


def _optimizer(model: PreTrainedModel, recipe: Recipe) -> tuple[list[torch.nn.Parameter], torch.optim.AdamW]:
    """The trained parameters (all but the embeddings), and AdamW with the recipe's two learning rates."""
    head = _parameters(model, "pooler.", "classifier.")
    encoder = _parameters(model, "encoder.")
    groups = [
        {"params": encoder, "lr": recipe.learning_rate},
        {"params": head, "lr": recipe.head_learning_rate},
    ]
    return [*encoder, *head], torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=True)


def _parameters(model: PreTrainedModel, *parts: str) -> list[torch.nn.Parameter]:
    """The parameters whose name, without the prefix of the base model, begins with one of `parts`."""
    prefix = f"{model.base_model_prefix}."
    return [p for name, p in model.named_parameters() if name.removeprefix(prefix).startswith(parts)]


@torch.inference_mode()
def predict_logits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int = 32,
    autocast: bool = False,
) -> np.ndarray:
    """Logits of each text: shape (len(texts), classes), float32, in the order of `texts`.

    Raises:
        ValueError: no texts.
    """
    input_ids = tokenizer(list(texts), truncation=True)["input_ids"] if len(texts) else []
    logits = np.empty((len(texts), int(model.config.num_labels or 0)), dtype=np.float32)
    model.eval()
    for rows in length_bucketed_batches([len(ids) for ids in input_ids], batch_size):
        batch = padded(tokenizer, [input_ids[row] for row in rows])
        with mixed_precision(model.device, autocast):
            logits[rows] = model(**batch.to(model.device)).logits.float().cpu().numpy()
    return logits


def sentiment_folder(profile: Profile) -> Path:
    """Where the sentiment model of this very recipe, checkpoint, data and code is kept."""
    parts = [
        json.dumps(dataclasses.asdict(Recipe.of(profile)), sort_keys=True),
        CHECKPOINTS[profile.encoder].weights_sha256,
        reviews.ARCHIVE_SHA256,
        inspect.getsource(reviews),
        inspect.getsource(fine_tune),
        inspect.getsource(resume),
        inspect.getsource(dropout),
        inspect.getsource(ready_to_train),
        inspect.getsource(length_bucketed_batches),
        inspect.getsource(learning_rate_factor),
        inspect.getsource(soft_targets),
        torch.__version__,
    ]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return cache_folder() / f"sentiment-{profile.name}-{key}"


def store_sentiment_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, profile: Profile
) -> Path:
    """Keeps a sentiment model that was trained with `Recipe.of(profile)`, for `sentiment_model` to find."""
    folder = sentiment_folder(profile)
    with new_folder(folder) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        (scratch / "model.sha256").write_text(sha256(scratch / "model.safetensors"))
    return folder


def sentiment_model(profile: Profile) -> SimpleNamespace:
    """The fine-tuned sentiment model: loaded if this very recipe trained it before, else trained now.

    A stored model that was truncated or altered is trained anew.

    Returns:
        `model` (on the profile's device, in evaluation mode) and `tokenizer`.
    """
    folder = sentiment_folder(profile)
    if not _is_whole(folder):
        base = checkpoint_folder(profile.encoder)
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = sentiment_classifier(profile)
        train = reviews.load_reviews()["train"]
        fine_tune(model, tokenizer, train["text"], soft_targets(train["rating"]), Recipe.of(profile))
        store_sentiment_model(model, tokenizer, profile)
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


def _is_whole(folder: Path) -> bool:
    weights, record = folder / "model.safetensors", folder / "model.sha256"
    return weights.exists() and record.exists() and sha256(weights) == record.read_text()
