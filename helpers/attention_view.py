"""Attention of all layers and heads as one interactive view, complete in the page that holds it.

The view needs no network, no kernel and no framework: `assets/attention_view.js` draws it from numbers in
the page, in a shadow root of its own, so that any number of views stand on a page undisturbed. Where
scripts are off, a still picture is shown.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import uuid
import zlib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from IPython.display import HTML

from helpers.attention import Attention

MAX_TOKENS = 96
MAX_BYTES = 3_000_000
NORMAL, SPECIAL, PADDING = 0, 1, 2
ASSETS = Path(__file__).parent / "assets"
_SPECIAL_TOKEN = re.compile(r"\[(CLS|SEP|MASK)\]|<[^<>\s]{1,20}>|<\|[^<>\s]{1,30}\|>")


def attention_view(
    attention: Attention | Sequence[Attention],
    other: Attention | Sequence[Attention] | None = None,
    *,
    names: tuple[str, str] = ("first", "second"),
    layer: int = 0,
    head: int = 0,
    show: Literal["head", "mean", "max", "rollout"] = "head",
    title: str = "Attention",
) -> HTML:
    """An interactive view of attention weights: every head, matrix, lines, differences, table.

    Args:
        attention: one text, or several (such as a padded batch) that the reader chooses from.
        other: the same texts under another model or checkpoint, for comparison and signed difference.
        names: what to call the two.
        layer, head, show: what it opens on. `show` is one head, the mean or maximum of a layer's heads,
            or the rollout up to the layer (Abnar and Zuidema, 2020).
        title: said above the view.

    A weight takes one byte, as a share of its head's largest: it is off by at most 1/510 of that. Queries
    and keys, where the `Attention` has them, take two bytes.

    Raises:
        ValueError: no texts; too many tokens or numbers for a page; two models whose tokens, layers or
            heads disagree; a layer or head that does not exist; rollout of a cross-attention.
    """
    texts = [attention] if isinstance(attention, Attention) else list(attention)
    others = [other] if isinstance(other, Attention) else list(other or [])
    _check(texts, others)
    layers, heads = texts[0].weights.shape[:2]
    if not 0 <= layer < layers or not 0 <= head < heads:
        raise ValueError(
            f"Layer {layer}, head {head} is not among {layers} layers of {heads} heads (from 0)."
        )
    if show not in ("head", "mean", "max", "rollout"):
        raise ValueError(f"show={show!r} is not one of 'head', 'mean', 'max', 'rollout'.")
    if show == "rollout" and any(text.query_tokens is not None for text in texts):
        raise ValueError("Rollout multiplies square matrices; a cross-attention has none. Use show='mean'.")
    models = [texts, others] if others else [texts]
    data = {
        "title": title,
        "names": list(names[: len(models)]),
        "layers": layers,
        "heads": heads,
        "start": {"layer": layer, "head": head, "show": show},
        "frame": f"<style>{_asset('css')}</style>{_asset('html')}",
        "texts": [_text(number, [model[number] for model in models]) for number in range(len(texts))],
    }
    numbers = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    if len(numbers) > MAX_BYTES:
        raise ValueError(
            f"The view would put {len(numbers) / 1e6:.1f} MB into the page (at most {MAX_BYTES / 1e6:.0f}). "
            "Take fewer texts, a shorter text, fewer layers, or leave out queries and keys."
        )
    code = _asset("js")
    name = f"attention-{uuid.uuid4().hex[:12]}"
    return HTML(
        f'<div class="course-attention" id="{name}">{_still(texts[0], layer, head, title)}</div>'
        f'<script>(() => {{\n{code}attentionView(document.getElementById("{name}"), {numbers});\n}})();</script>'
    )


def _asset(ending: str) -> str:
    return (ASSETS / f"attention_view.{ending}").read_text(encoding="utf-8")


def _check(texts: list[Attention], others: list[Attention]) -> None:
    if not texts:
        raise ValueError("There is no text to show: pass one Attention, or a list of at least one.")
    if others and len(others) != len(texts):
        raise ValueError(f"{len(texts)} texts cannot be compared with {len(others)}: pass the same ones.")
    first = texts[0].weights.shape[:2]
    for text in [*texts, *others]:
        if 0 in text.weights.shape:
            raise ValueError(
                "There are no attention weights to show. Load the model with "
                'attn_implementation="eager" and call it with output_attentions=True.'
            )
        if (most := max(text.weights.shape[2:])) > MAX_TOKENS:
            raise ValueError(f"{most} tokens are too many to read (at most {MAX_TOKENS}). Shorten the text.")
        if text.weights.shape[:2] != first:
            raise ValueError(
                f"The shapes disagree: {tuple(first)} layers and heads here, {tuple(text.weights.shape[:2])} "
                "there. Texts and models of one view need the same number of both."
            )
    for text, twin in zip(texts, others, strict=False):
        if (text.tokens, text.query_tokens) != (twin.tokens, twin.query_tokens):
            raise ValueError(
                f"Two models are compared on the same tokens, but these differ: {text.tokens} and {twin.tokens}. "
                "Give both the same text, tokenized alike."
            )


def _text(number: int, models: list[Attention]) -> dict:
    """What the browser needs of one text under one or two models."""
    first = models[0]
    keys = _tokens(first.tokens, first)
    packed = [_packed(model.weights, 255, np.uint8) for model in models]
    return {
        "name": f"{number + 1}: {' '.join(first.tokens[:6])}",
        "cross": first.query_tokens is not None,
        "keys": keys,
        "queries": keys if first.query_tokens is None else _tokens(first.query_tokens),
        "weights": [numbers for numbers, _ in packed],
        "scales": [scales for _, scales in packed],
        "vectors": [_vectors(model) for model in models],
    }


def _tokens(labels: Sequence[str], source: Attention | None = None) -> list[dict]:
    tokens = []
    for index, label in enumerate(labels):
        padded = source is not None and source.attention_mask is not None and not source.attention_mask[index]
        kind = PADDING if padded or label in ("[PAD]", "<pad>") else NORMAL
        if kind == NORMAL and _SPECIAL_TOKEN.fullmatch(label):
            kind = SPECIAL
        tokens.append(
            {
                "label": label,
                "kind": kind,
                "part": source.token_type_ids[index] if source else 0,
                "word": source.word_ids[index] if source and source.word_ids and kind == NORMAL else None,
            }
        )
    return tokens


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


def _still(text: Attention, layer: int, head: int, title: str) -> str:
    """One head as a picture in grey, for readers without scripts."""
    weights = text.weights[layer, head].numpy()  # (n_q, n_k)
    rows, columns = text.query_tokens or text.tokens, text.tokens
    shade = np.rint(255 * (1 - weights / max(weights.max(), 1e-9))).astype(np.uint8)
    row, column = np.unravel_index(weights.argmax(), weights.shape)
    alt = (
        f"{title}. Weights of layer {layer}, head {head}, as shades of grey: darker is larger. "
        f"The largest is {weights.max():.2f}, from {rows[row]} to {columns[column]}."
    )
    labels = [
        f'<text x="96" y="{100 + 14 * i + 11}" text-anchor="end">{escape(token[:13])}</text>'
        for i, token in enumerate(rows)
    ] + [
        f'<text transform="translate({100 + 14 * j + 11} 96) rotate(-90)">{escape(token[:13])}</text>'
        for j, token in enumerate(columns)
    ]
    width, height = 14 * len(columns), 14 * len(rows)
    return (
        f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {width + 104} {height + 104}" '
        f'style="width:100%;max-width:{width + 104}px;font:11px sans-serif;fill:currentColor">'
        f'<image x="100" y="100" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{_grey_png(shade)}"/>'
        f"{''.join(labels)}</svg><p>{escape(alt)} The view that moves needs scripts.</p>"
    )


def _grey_png(shade: np.ndarray) -> str:
    """A grey picture, shape (height, width), as a PNG in base64 (W3C, Portable Network Graphics, 2003)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width = shade.shape
    rows = b"".join(b"\0" + row.tobytes() for row in shade)  # each row begins with its filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return base64.b64encode(png).decode()
