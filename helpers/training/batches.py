"""From lists of `input_ids` to padded batches of like length, and the rate and precision of a step."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from transformers import BatchEncoding, PreTrainedTokenizerBase


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


def padded(tokenizer: PreTrainedTokenizerBase, input_ids: list[list[int]]) -> BatchEncoding:
    """A batch as tensors of shape (B, T), T the next multiple of 8: few shapes for the CPU to prepare for."""
    return tokenizer.pad({"input_ids": input_ids}, return_tensors="pt", pad_to_multiple_of=8)


def learning_rate_factor(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak learning rate at `step` (from 0): up to 1 linearly, then down to 0."""
    warmup = max(1, round(warmup_share * steps))
    if step < warmup:
        return (step + 1) / warmup
    return (steps - step) / max(1, steps - warmup)


def mixed_precision(device: torch.device, autocast: bool):
    """The context of a forward pass: bfloat16 autocast, or nothing."""
    return torch.autocast(device.type, torch.bfloat16) if autocast else nullcontext()
