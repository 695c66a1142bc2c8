"""Attention of all layers and heads as one interactive view, complete in the page that holds it.

The view needs no network, no kernel and no framework: the scripts of `assets` draw it from numbers in the
page, in a shadow root of its own, so that any number of views stand on a page undisturbed. Where scripts
are off, a still picture is shown.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from IPython.display import HTML

from helpers.attention import Attention
from helpers.viewer.checks import check_attention, check_head
from helpers.viewer.packing import packed_text
from helpers.viewer.still import still_picture

MAX_TOKENS = 96
MAX_BYTES = 3_000_000
ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("numbers", "elements", "grid", "matrix", "arcs", "words", "product", "saving", "frame", "view")
"""The files of the browser code, one purpose each, in the order in which a page holds them."""


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
        TypeError, ValueError: what is no attention, see `helpers.viewer.checks.check_attention`.
        ValueError: no texts; too many tokens or numbers for a page; two models whose tokens, layers or
            heads disagree; a layer or head that does not exist; rollout of a cross-attention; names that
            are not two.
    """
    texts = _listed(attention)
    others = [] if other is None else _listed(other)
    _check(texts, others)
    check_head(texts[0], layer, head)
    if len(names) != 2 or not all(isinstance(name, str) for name in names):
        raise ValueError(f"names={names!r} are not two names, such as ('before', 'after').")
    if show not in ("head", "mean", "max", "rollout"):
        raise ValueError(f"show={show!r} is not one of 'head', 'mean', 'max', 'rollout'.")
    if show == "rollout" and any(text.query_tokens is not None for text in texts):
        raise ValueError("Rollout multiplies square matrices; a cross-attention has none. Use show='mean'.")
    models = [texts, others] if others else [texts]
    layers, heads = texts[0].weights.shape[:2]
    packed = [packed_text(number, [model[number] for model in models]) for number in range(len(texts))]
    data = {
        "title": str(title),
        "names": list(names[: len(models)]),
        "layers": layers,
        "heads": heads,
        "start": {"layer": int(layer), "head": int(head), "show": show},
        "frame": f"<style>{_asset('view.css')}</style>{_asset('view.html')}",
        "texts": packed,
    }
    numbers = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    if len(numbers) > MAX_BYTES:
        raise ValueError(
            f"The view would put {len(numbers) / 1e6:.1f} MB into the page (at most {MAX_BYTES / 1e6:.0f}). "
            "Take fewer texts, a shorter text, fewer layers, or leave out queries and keys."
        )
    rows, columns = ([token["label"] for token in packed[0][side]] for side in ("queries", "keys"))
    weights = texts[0].weights[layer, head].detach().float().cpu().numpy()
    still = still_picture(weights, rows, columns, f"layer {layer}, head {head}", str(title))
    code = "".join(_asset(f"{name}.js") for name in SCRIPTS)
    name = f"attention-{uuid.uuid4().hex[:12]}"
    return HTML(
        f'<div class="course-attention" id="{name}">{still}</div>'
        f'<script>(() => {{\n{code}attentionView(document.getElementById("{name}"), {numbers});\n}})();</script>'
    )


def _listed(given: Any) -> list[Attention]:
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _check(texts: list[Attention], others: list[Attention]) -> None:
    if not texts:
        raise ValueError("There is no text to show: pass one Attention, or a list of at least one.")
    if others and len(others) != len(texts):
        raise ValueError(f"{len(texts)} texts cannot be compared with {len(others)}: pass the same ones.")
    for text in [*texts, *others]:
        check_attention(text)
        if (most := max(text.weights.shape[2:])) > MAX_TOKENS:
            raise ValueError(f"{most} tokens are too many to read (at most {MAX_TOKENS}). Shorten the text.")
        first, second = (tuple(one.weights.shape[:2]) for one in (texts[0], text))
        if first != second:
            raise ValueError(
                f"The shapes disagree: {first} layers and heads here, {second} there. "
                "Texts and models of one view need the same number of both."
            )
    for text, twin in zip(texts, others, strict=False):
        if (text.tokens, text.query_tokens) != (twin.tokens, twin.query_tokens):
            raise ValueError(
                f"Two models are compared on the same tokens, but these differ: {text.tokens} and {twin.tokens}. "
                "Give both the same text, tokenized alike."
            )
