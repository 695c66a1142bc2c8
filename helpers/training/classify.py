"""Labels and probabilities for any text: a few words, or pages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.tokens import longest_input
from helpers.training.predict import checked_texts, logits_of_ids

OVERLAP = 64
"""Tokens that two neighbouring windows of a long text share; half a window where that is less."""


def classify(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: str | Sequence[str],
    batch_size: int = 32,
    autocast: bool = False,
) -> pd.DataFrame:
    """The label of each text and the probability of every class; chapter 8 builds it.

    A text longer than the model takes is read in windows that overlap, and its logits are their mean. The
    model is left in evaluation mode.

    Args:
        model: one that gives each text one label of several.
        texts: one text or several, of any length.
        autocast: compute in bfloat16.

    Returns:
        One row a text, in order: `text`, `label`, `windows`, and a column a class, named as in the model.

    Raises:
        TypeError: no sequence of texts, or something in it that is no string.
        ValueError: no texts, or one without words; the message says which.
        ValueError: a model with one output or with several labels a text; classes whose names collide.
        TypeError, ValueError: a model or tokenizer that cannot classify, see `logits_of_ids`.
    """
    names = _class_names(model)
    listed = checked_texts([texts] if isinstance(texts, str) else texts)
    input_ids, owner = _windows(model, tokenizer, listed)
    logits = logits_of_ids(model, tokenizer, input_ids, batch_size, autocast)
    means = np.stack([logits[owner == number].mean(axis=0) for number in range(len(listed))])
    probabilities = torch.softmax(torch.tensor(means), dim=-1).numpy()
    return pd.DataFrame(
        {
            "text": listed,
            "label": [names[number] for number in probabilities.argmax(axis=1)],
            "windows": np.bincount(owner, minlength=len(listed)),
            **{name: probabilities[:, number] for number, name in enumerate(names)},
        }
    )


def _class_names(model: PreTrainedModel) -> list[str]:
    """What the classes are called, if the head is one softmax over classes of different names."""
    config = model.config
    classes, kind = int(config.num_labels or 0), getattr(config, "problem_type", None)
    if classes < 2 or kind not in (None, "single_label_classification"):
        raise ValueError(
            f"classify takes the softmax over several classes, but this model has {classes} output(s) and "
            f"problem_type={kind!r}. Call predict_logits: one output is the value itself, and of several labels "
            "a text the sigmoid of each logit is the probability."
        )
    names = [str(config.id2label[number]) for number in range(classes)]  # type: ignore[index]
    taken = ["text", "label", "windows", *names]
    if twice := [name for name in names if taken.count(name) > 1]:
        raise ValueError(
            f"The table has one column each for text, label, windows and every class, but the classes are {names}. "
            f"Give {twice} other names in model.config.id2label."
        )
    return names


def _windows(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: list[str]
) -> tuple[list[list[int]], np.ndarray]:
    """The ids of every window, and the number of the text that it is of."""
    most = longest_input(model, tokenizer)
    whole = tokenizer(texts, verbose=False)["input_ids"]
    if max(map(len, whole)) <= most:
        return whole, np.arange(len(texts))
    room = int(most) - tokenizer.num_special_tokens_to_add()
    if room < 1 or not tokenizer.is_fast:
        raise ValueError(
            f"A text has {max(map(len, whole))} tokens, but the model takes at most {most}, and a "
            f"{type(tokenizer).__name__} cannot cut it into windows of {room} tokens. Pass shorter texts."
        )
    windows = tokenizer(
        texts,
        truncation=True,
        max_length=int(most),
        stride=min(OVERLAP, room // 2),
        return_overflowing_tokens=True,
    )
    return windows["input_ids"], np.array(windows["overflow_to_sample_mapping"])
