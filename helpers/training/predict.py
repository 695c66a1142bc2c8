"""A classifier's logits for many short texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.tokens import check_text, longest_input
from helpers.training.batches import length_bucketed_batches, mixed_precision, padded


def predict_logits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int = 32,
    autocast: bool = False,
) -> np.ndarray:
    """Logits of each text: shape (len(texts), num_labels), float32, in the order of `texts`.

    For any head: with one output a text they are the values themselves, with several labels a text their
    sigmoid is the probability of each. The model is left in evaluation mode.

    Raises:
        TypeError: one string, no sequence, or something in it that is no string.
        ValueError: no texts, one without words, or one that is longer than the model takes.
        TypeError, ValueError: a model or tokenizer that cannot classify, see `logits_of_ids`.
    """
    if isinstance(texts, str):
        raise TypeError(f"Several texts are due here, but {texts[:40]!r} is one str. Pass [text].")
    listed = checked_texts(texts)
    input_ids = tokenizer(listed, verbose=False)["input_ids"]
    most = longest_input(model, tokenizer)
    for number, ids in enumerate(input_ids):
        if len(ids) > most:
            raise ValueError(
                f"Text {number} of {len(listed)} has {len(ids)} tokens, but the model takes at most {most}. "
                "Nothing is cut here: classify (helpers.training.classify) reads a long text in windows."
            )
    return logits_of_ids(model, tokenizer, input_ids, batch_size, autocast)


def checked_texts(texts: Any) -> list[str]:
    """The texts as a list.

    Raises:
        TypeError: a table, a mapping, a set or no sequence; something in it that is no string.
        ValueError: no texts, or one without words; the message says which.
    """
    if isinstance(texts, (Mapping, Set, bytes, pd.DataFrame)) or not hasattr(texts, "__iter__"):
        raise TypeError(
            f"The texts must come in a list, but this is a {type(texts).__name__}. Of a table, pass the "
            'column that holds them, such as table["text"].'
        )
    listed = list(texts)
    if not listed:
        raise ValueError("There is nothing to classify: 0 texts.")
    for number, text in enumerate(listed):
        try:
            check_text(text)
        except (TypeError, ValueError) as error:
            raise type(error)(f"Text {number} of {len(listed)}: {error}") from None
    return listed


@torch.inference_mode()
def logits_of_ids(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    input_ids: Sequence[list[int]],
    batch_size: int,
    autocast: bool,
) -> np.ndarray:
    """Logits of each row of ids: shape (len(input_ids), num_labels), float32, in the order of the rows.

    Raises:
        TypeError: a model without a head that classifies whole texts.
        ValueError: no padding token, another one than the model's, or padding where the model reads.
    """
    expected = getattr(model.config, "pad_token_id", None)
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id != expected:
        raise ValueError(
            f"The tokenizer pads with {tokenizer.pad_token!r}, id {tokenizer.pad_token_id}, the model expects id "
            f"{expected}. Set tokenizer.pad_token, where there is none, and then "
            "model.config.pad_token_id = tokenizer.pad_token_id."
        )
    if getattr(model.config, "summary_type", None) == "last" and tokenizer.padding_side == "right":
        raise ValueError(
            f"A {type(model).__name__} reads the last token of each row, which must not be padding. Set "
            'tokenizer.padding_side = "left".'
        )
    classes = int(model.config.num_labels or 0)
    logits = np.empty((len(input_ids), classes), dtype=np.float32)
    most = longest_input(model, tokenizer)
    model.eval()
    for rows in length_bucketed_batches([len(ids) for ids in input_ids], batch_size):
        batch = padded(tokenizer, [input_ids[row] for row in rows]).to(model.device)
        width = batch["input_ids"].shape[1]
        beyond = width - int(min(most, width))  # columns of padding past the model's last position
        kept = slice(beyond, None) if tokenizer.padding_side == "left" else slice(width - beyond)
        inputs = {name: values[:, kept] for name, values in batch.items()}
        with mixed_precision(model.device, autocast):
            output = getattr(model(**inputs), "logits", None)
        if output is None or output.shape != (len(rows), classes):
            raise TypeError(
                f"A {type(model).__name__} gives no {classes} logits for a whole text. Load the checkpoint with "
                "AutoModelForSequenceClassification."
            )
        logits[rows] = output.float().cpu().numpy()
    return logits
