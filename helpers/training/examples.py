"""What a run learns from, checked: texts as ids, and targets."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.tokens import longest_input
from helpers.training.predict import checked_texts


def checked_targets(targets: object, texts: int, classes: int) -> np.ndarray:
    """The targets as float32, shape (texts, classes).

    Raises:
        ValueError: no numbers, another shape, or rows that are no probabilities.
    """
    try:
        goals = np.asarray(targets, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError(
            f"The targets must be an array of numbers, one row a text, not {type(targets).__name__}. "
            "`one_hot_targets` makes them from labels."
        ) from None
    if goals.shape != (texts, classes):
        raise ValueError(
            f"{texts} texts and {classes} classes need targets of shape ({texts}, {classes}), "
            f"not {goals.shape}."
        )
    if not np.isfinite(goals).all() or (goals < 0).any() or not np.allclose(goals.sum(1), 1, atol=1e-3):
        raise ValueError(
            "Each row of the targets must sum to 1, without negative entries: one probability a class."
        )
    return goals


def numbered(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> list[list[int]]:
    """The ids of each text. One that is longer than the model takes is cut, and a warning says how many are.

    The limit is a multiple of 8, since batches are padded to one.

    Raises:
        TypeError: one string, no list of texts, or something in it that is no text.
        ValueError: no texts, or an empty one; the message says which. Or the tokenizer is another model's.
    """
    if isinstance(texts, str):
        raise TypeError(f"A list of texts is due here, but one came: {texts[:40]!r}. Pass [text].")
    listed = checked_texts(texts)
    longest = longest_input(model, tokenizer)
    whole = tokenizer(listed, verbose=False)["input_ids"]
    if max(map(len, whole)) > (limit := longest // 8 * 8 or longest):
        cut = sum(len(ids) > limit for ids in whole)
        warnings.warn(
            f"{cut} of {len(listed)} texts are cut at their end: the model takes {limit} tokens. Split them, "
            "if what they end with matters.",
            stacklevel=3,
        )
        whole = tokenizer(listed, truncation=True, max_length=int(limit))["input_ids"]
    largest = max(map(max, whole))
    known = getattr(model.get_input_embeddings(), "num_embeddings", math.inf)
    if largest >= known:
        raise ValueError(
            f"The tokenizer gives the id {largest}, but {type(model).__name__} knows ids below {known}: "
            "the two don't belong together. Load both from one checkpoint."
        )
    return whole
