"""The fine-tuning loop of chapter 8, for the chapters that use it after it has been taught."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.training import dropout
from helpers.training.batches import (
    learning_rate_factor,
    length_bucketed_batches,
    mixed_precision,
    padded,
)
from helpers.training.examples import checked_targets, numbered
from helpers.training.parts import check_classifier, embeddings, parameter_groups
from helpers.training.progress import Keeper, KeepsNothing, Run, Task
from helpers.training.recipe import Recipe
from helpers.training.team import Team

ALONE = Team()
NOTHING_KEPT = KeepsNothing()


@contextmanager
def ready_to_train(model: PreTrainedModel, recipe: Recipe) -> Iterator[None]:
    """The model with frozen embeddings and the recipe's dropout, computed the way that trains fastest here.

    On a CPU attention goes by plain matrix products: PyTorch's fused kernel saves memory, but its backward
    pass is slower on short texts. Dropout there takes its random numbers byte by byte (`helpers.training.dropout`).
    Under autocast the embeddings hand their result on in bfloat16, or all residual sums would stay in
    float32 and be converted again at every layer.

    When the block ends, however it ends, the model is in evaluation mode without gradients, and all but the
    frozen embeddings is as before.

    Raises:
        ValueError: the recipe names a share of dropout, and the model drops nothing.
    """
    kind = model.device.type
    dropouts = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    shares = [module.p for module in dropouts]
    if recipe.dropout is not None and not dropouts:
        raise ValueError(
            f"{type(model).__name__} has no dropout to set to {recipe.dropout}. Leave the recipe's at None."
        )
    first = embeddings(model)
    first.requires_grad_(False)
    hook = first.register_forward_hook(
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
    team: Team = ALONE,
    checkpoints: Keeper = NOTHING_KEPT,
    validate: Callable[[PreTrainedModel], float] | None = None,
    patience: int | None = None,
    after_step: Callable[[int], None] | None = None,
    stop_after: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Trains a sequence classifier in place, embeddings frozen; the loop is chapter 8's.

    Any encoder of Transformers can be trained, and decoders that read a text's last token.

    Args:
        model: on the device where it shall train.
        texts: those longer than the model takes are cut at their end, with a warning that says how many.
        targets: shape (len(texts), classes), rows sum to 1: the probability that each class deserves.
            One-hot rows give the usual cross-entropy; see also `soft_targets`.
        team: the processes that train together (`helpers.training.distributed.launched_team`). Each takes its
            share of every batch, and all end with the same weights.
        checkpoints: where the run's state is kept (`helpers.training.resume.Checkpoints`).
        validate: a score of the model, larger is better, taken after each epoch. The model ends with
            the weights of the best epoch.
        patience: stop after so many epochs without a better score.
        after_step: called with the number of finished steps after each of them.
        stop_after: break off after so many steps of the run, with the weights as they are then.
        progress: show a bar with loss, examples a second and the time left.

    Returns:
        One row a step: `step`, `epoch`, `loss` (mean cross-entropy, nats), `examples` seen so far, and
        with `validate` the `score` at the last step of each epoch.

    Raises:
        TypeError: something that is no text.
        ValueError: no texts, or an empty one; targets of another shape or not summing to 1; a model or tokenizer
            that can't be trained so (the message says why); patience without scores; a checkpoint of another run.
        FloatingPointError: the loss is not a number.
        OSError: a checkpoint could not be written; those before it are whole.
    """
    check_classifier(model, tokenizer)
    if patience is not None and (validate is None or patience < 1):
        raise ValueError(f"patience={patience} needs `validate`, and must be a number of epochs from 1.")
    if stop_after is not None and stop_after < 1:
        raise ValueError(f"stop_after={stop_after} must be a number of steps from 1.")
    input_ids = numbered(model, tokenizer, texts)
    goals = checked_targets(targets, len(input_ids), int(model.config.num_labels or 0))
    torch.manual_seed(recipe.seed + team.rank)
    lengths = [len(ids) for ids in input_ids]
    goal = torch.tensor(goals, device=model.device)

    trained, optimizer = _optimizer(model, recipe)
    steps = recipe.epochs * math.ceil(len(input_ids) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, steps, recipe.warmup_share)
    )
    run = Run(model, optimizer, schedule, random.Random(recipe.seed))
    task = Task(recipe, input_ids, goals, patience, validate is not None)
    with checkpoints.opened(run, task, team), ready_to_train(model, recipe):
        bar = tqdm(
            total=recipe.epochs * len(input_ids),
            initial=run.examples,
            unit=" examples",
            desc="fine-tuning",
            disable=not progress or team.rank > 0,
        )
        parallel = compiled(team.wrapped(model), recipe.compile_from, steps)
        with bar:
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
                    checkpoints.after_step(run, team)
                    bar.update(len(rows))
                    bar.set_postfix(loss=f"{value:.3f}", refresh=False)
                    if after_step is not None:
                        after_step(len(run.history))
                        model.train()
                    if len(run.history) == stop_after:
                        return run.table()
                run.end_epoch(None if validate is None else validate(model))
        run.take_best()
        checkpoints.at_end(run, team)
    return run.table()


def _optimizer(model: PreTrainedModel, recipe: Recipe) -> tuple[list[torch.nn.Parameter], torch.optim.AdamW]:
    """The trained parameters (all but the embeddings), and AdamW with the recipe's two learning rates."""
    encoder, head = parameter_groups(model)
    groups = [
        {"params": encoder, "lr": recipe.learning_rate},
        {"params": head, "lr": recipe.head_learning_rate},
    ]
    return [*encoder, *head], torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=True)
