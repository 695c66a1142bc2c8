"""What a model is trained towards: the probability that each class deserves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def soft_targets(ratings: Sequence[float]) -> np.ndarray:
    """What the judges' mean rating r says of each class: `(1 - p, p)` with `p = sigmoid(2 r)`.

    Args:
        ratings: n mean ratings, -4 to 4.

    Returns:
        Shape (n, 2), float32; rows sum to 1. A clear rating gives almost 0 and 1, one near 0 a half.

    Raises:
        ValueError: something else than a list of finite numbers.
    """
    try:
        numbers = np.asarray(ratings, dtype=np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ValueError(f"Ratings must be a list of finite numbers, one a text, not {str(ratings)[:60]}.")
    positive = 1 / (1 + np.exp(-2 * numbers))
    return np.stack([1 - positive, positive], axis=1).astype(np.float32)


def one_hot_targets(labels: Sequence[int], classes: int = 2) -> np.ndarray:
    """Labels as targets of `fine_tune`: shape (len(labels), classes), float32.

    Raises:
        ValueError: a label is not one of 0 to classes - 1; the message names it and where it stands.
        TypeError: something else than a list of labels.
    """
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise TypeError(f"A list of labels is due here, one a text, but {str(labels)[:60]!r} came.")
    labels = list(labels)
    wrong = [(row, label) for row, label in enumerate(labels) if label not in range(classes)]
    if wrong:
        row, label = wrong[0]
        raise ValueError(
            f"Label {label!r} at row {row} is not among 0 to {classes - 1} ({len(wrong)} such rows). "
            "Map the labels to these numbers, or make the model with more classes (num_labels)."
        )
    return np.eye(classes, dtype=np.float32)[np.asarray(labels, dtype=int)]
