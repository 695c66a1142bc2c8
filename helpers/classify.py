"""Labels and probabilities for any text: a few words, or pages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.tokens import check_text
from helpers.training import length_bucketed_batches, mixed_precision, padded

OVERLAP = 64
"""Tokens that two neighbouring windows of a long text share."""


@torch.inference_mode()
def classify(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: str | Sequence[str],
    batch_size: int = 32,
    autocast: bool = False,
) -> pd.DataFrame:
    """The label of each text and the probability of every class; chapter 8 builds it.

    A text longer than the model takes is read in windows that overlap, and its logits are their mean.

    Args:
        texts: one text or several, of any length.
        autocast: compute in bfloat16.

    Returns:
        One row a text, in order: `text`, `label`, `windows`, and a column a class, named as in the model.

    Raises:
        TypeError: something is not a string.
        ValueError: no texts, or one without words; the message says which.
    """
    listed = [texts] if isinstance(texts, str) else list(texts)
    if not listed:
        raise ValueError("There is nothing to classify: 0 texts.")
    for number, text in enumerate(listed):
        try:
            check_text(text)
        except (TypeError, ValueError) as error:
            raise type(error)(f"Text {number} of {len(listed)}: {error}") from None
    windows = tokenizer(
        listed,
        truncation=True,
        max_length=model.config.max_position_embeddings,
        stride=OVERLAP,
        return_overflowing_tokens=True,
    )
    owner = np.array(windows["overflow_to_sample_mapping"])
    input_ids = windows["input_ids"]
    logits = np.empty((len(input_ids), int(model.config.num_labels or 0)), dtype=np.float32)
    model.eval()
    for rows in length_bucketed_batches([len(ids) for ids in input_ids], batch_size):
        batch = padded(tokenizer, [input_ids[row] for row in rows])
        with mixed_precision(model.device, autocast):
            logits[rows] = model(**batch.to(model.device)).logits.float().cpu().numpy()
    means = np.stack([logits[owner == number].mean(axis=0) for number in range(len(listed))])
    probabilities = torch.softmax(torch.tensor(means), dim=-1).numpy()
    names = [str(model.config.id2label[number]) for number in range(probabilities.shape[1])]  # type: ignore[index]
    return pd.DataFrame(
        {
            "text": listed,
            "label": [names[number] for number in probabilities.argmax(axis=1)],
            "windows": np.bincount(owner, minlength=len(listed)),
            **{name: probabilities[:, number] for number, name in enumerate(names)},
        }
    )
