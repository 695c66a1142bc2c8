"""What the browser code gets of a text: tokens with their kinds, and numbers packed small."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import torch

from helpers.attention import Attention
from helpers.viewer.labels import characters_of

NORMAL, SPECIAL, PADDING = 0, 1, 2


def packed_text(number: int, models: Sequence[Attention]) -> dict:
    """One text under one or two models: `keys`, `queries`, `weights`, `scales` and `vectors`."""
    first = models[0]
    keys = _keys(first)
    packed = [_packed(model.weights, 255, np.uint8) for model in models]
    return {
        "name": f"{number + 1}: {' '.join(token['label'] for token in keys[:6])}",
        "cross": first.query_tokens is not None,
        "keys": keys,
        "queries": keys if first.query_tokens is None else _queries(first, first.query_tokens),
        "weights": [numbers for numbers, _ in packed],
        "scales": [scales for _, scales in packed],
        "vectors": [_vectors(model) for model in models],
    }


def _keys(source: Attention) -> list[dict]:
    labels = characters_of(source.tokens, source.special) if source.byte_level else source.tokens
    tokens = []
    for index, label in enumerate(labels):
        kind = SPECIAL if source.special is not None and source.special[index] else NORMAL
        if source.attention_mask is not None and not source.attention_mask[index]:
            kind = PADDING
        word = source.word_ids[index] if source.word_ids is not None and kind == NORMAL else None
        tokens.append({"label": label, "kind": kind, "part": source.token_type_ids[index], "word": word})
    return tokens


def _queries(source: Attention, names: list[str]) -> list[dict]:
    """The queries of a cross-attention."""
    special = source.query_special or [False] * len(names)
    labels = characters_of(names, special) if source.byte_level else names
    return [
        {"label": label, "kind": SPECIAL if is_special else NORMAL, "part": 0, "word": None}
        for label, is_special in zip(labels, special, strict=True)
    ]


def _packed(values: torch.Tensor, most: int, dtype: type) -> tuple[str, list[float]]:
    """Numbers of shape (layers, heads, …) as integers in base64, and the largest magnitude of each head."""
    array = values.detach().float().cpu().numpy()
    scales = np.abs(array).reshape(*array.shape[:2], -1).max(axis=-1)  # (layers, heads)
    steps = np.where(scales > 0, scales, 1)[..., None, None]
    packed: np.ndarray = np.rint(array / steps * most).astype(dtype)
    return base64.b64encode(packed.tobytes()).decode(), [float(f"{scale:.7g}") for scale in scales.ravel()]


def _vectors(attention: Attention) -> dict | None:
    if attention.queries is None or attention.keys is None:
        return None
    queries, query_scales = _packed(attention.queries, 32767, np.int16)
    keys, key_scales = _packed(attention.keys, 32767, np.int16)
    return {
        "d_k": attention.queries.shape[-1],
        "queries": queries,
        "keys": keys,
        "query_scales": query_scales,
        "key_scales": key_scales,
    }
