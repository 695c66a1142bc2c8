"""bertviz's views, made to work without a network and inside a page that they cannot disturb.

bertviz (Vig, 2019) asks three scripts of a CDN. Here its own script runs in a frame of its own, where a
few lines stand in for require.js and hand it d3 5 (from mpld3) and jquery (from sphinxcontrib-jquery).
"""

from __future__ import annotations

import json
from html import escape
from importlib.metadata import distribution
from pathlib import Path

import bertviz
import torch
from IPython.display import HTML

from helpers.attention import Attention
from helpers.viewer.checks import check_attention, check_head
from helpers.viewer.labels import characters_of

DECIMALS = 3
MAX_BYTES = 3_000_000
BYTES_PER_WEIGHT = 5
"""The fewest a weight can take, as in `0.0, `."""

_REQUIRE = """
function requirejs(names, run) { run(...names.map(n => ({d3: window.d3, jquery: window.jQuery})[n])); }
function require(names, run) { requirejs(names, run); }
require.config = requirejs.config = function () {};
"""


def head_view(attention: Attention, height: int = 420) -> HTML:
    """bertviz's head view: lines between tokens, all heads of one layer.

    Args:
        attention: what `helpers.attention.attention_weights` returned.
        height: of the frame, in CSS pixels.

    Raises:
        TypeError, ValueError: what is no attention, see `helpers.viewer.checks.check_attention`.
        ValueError: a cross-attention, or more than 3 MB for the page.
    """
    return _frame(bertviz.head_view, attention, height, "bertviz head view: attention lines between tokens")


def model_view(attention: Attention, height: int = 420) -> HTML:
    """bertviz's model view: a thumbnail of every head. Arguments and errors as for `head_view`."""
    return _frame(bertviz.model_view, attention, height, "bertviz model view: a thumbnail of every head")


def neuron_view(attention: Attention, layer: int = 0, head: int = 0, height: int = 420) -> HTML:
    """bertviz's neuron view: how one query meets each key, feature by feature, and the weights it gets.

    bertviz takes these numbers from BERT classes of its own, whose import asks for boto3. Its script
    needs the numbers alone, and here gets those of `attention`.

    Args:
        attention: what `helpers.attention.attention_weights(..., queries_and_keys=True)` returned.
        layer, head: what the view opens on.
        height: of the frame, in CSS pixels.

    Raises:
        ValueError: queries and keys were not kept; no such layer or head; and as for `head_view`.
    """
    labels = _checked_labels(attention)
    check_head(attention, layer, head)
    if attention.queries is None or attention.keys is None:
        raise ValueError(
            "The view draws queries and keys. Call attention_weights(..., queries_and_keys=True)."
        )
    vectors = {"attn": attention.weights, "queries": attention.queries, "keys": attention.keys}
    _check_least(sum(kept.numel() for kept in vectors.values()), attention)
    numbers = {name: _rounded(kept).tolist() for name, kept in vectors.items()}
    shown = {"all": numbers | {"left_text": labels, "right_text": labels}}
    settings = {"attention": shown, "default_filter": "all", "root_div_id": "neurons", "bidirectional": True}
    settings |= {"display_mode": "light", "layer": int(layer), "head": int(head)}
    body = (
        '<div id="neurons">Layer: <select id="layer" aria-label="Layer"></select> '
        'Head: <select id="att_head" aria-label="Head"></select><div id="vis" style="min-width:1020px"></div></div>'
    )
    script = f"window.bertviz_params = {json.dumps(settings)};\n{_asset('bertviz', 'bertviz/neuron_view.js')}"
    return _document(
        body, script, attention, height, "bertviz neuron view: queries and keys, feature by feature"
    )


def _frame(view, attention: Attention, height: int, title: str) -> HTML:
    labels = _checked_labels(attention)
    _check_least(attention.weights.numel(), attention)
    weights = tuple(_rounded(layer).unsqueeze(0) for layer in attention.weights)  # (1, heads, n, n) a layer
    # bertviz writes the tokens unescaped into a script: a token "</script>" would end it
    page = view(weights, labels, html_action="return").data
    body, _, script = page.partition("</script>")[2].partition('<script type="text/javascript">')
    script = script.rpartition("</script>")[0]
    body = body.replace('<select id="layer">', '<select id="layer" aria-label="Layer">')
    return _document(body, script, attention, height, title)


def _document(body: str, script: str, attention: Attention, height: int, title: str) -> HTML:
    script = script.replace("</", "<\\/").replace("<!--", "<\\!--")
    jquery = _asset("sphinxcontrib-jquery", "sphinxcontrib/jquery/jquery.js")
    d3 = _asset("mpld3", "mpld3/js/d3.v5.min.js")
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>' + escape(title) + "</title>"
        "<style>body{background:#fff;color:#000;margin:4px}</style></head><body>"
        f"{body}<script>{jquery}</script><script>{d3}</script><script>{_REQUIRE}</script>"
        f"<script>{script}</script></body></html>"
    )
    if len(document) > MAX_BYTES:
        raise _too_heavy(f"{len(document) / 1e6:.1f}", attention)
    return HTML(
        # in a div, since IPython warns of HTML that begins with a frame
        f'<div><iframe class="course-bertviz" title="{escape(title)}" srcdoc="{escape(document)}" loading="lazy" '
        f'style="width:100%;height:{height}px;border:1px solid #8888;background:#fff"></iframe></div>'
    )


def _check_least(numbers: int, attention: Attention) -> None:
    if (least := numbers * BYTES_PER_WEIGHT) > MAX_BYTES:
        raise _too_heavy(f"at least {least / 1e6:.1f}", attention)


def _too_heavy(megabytes: str, attention: Attention) -> ValueError:
    return ValueError(
        f"bertviz would put {megabytes} MB into the page for {len(attention.tokens)} tokens. Take a shorter text."
    )


def _asset(package: str, path: str) -> str:
    """A file of an installed package, read without importing it (mpld3 would ask for matplotlib)."""
    return Path(str(distribution(package).locate_file(path))).read_text(encoding="utf-8")


def _rounded(values: torch.Tensor) -> torch.Tensor:
    """In double precision, so that JSON needs no more digits than these."""
    return values.detach().double().cpu().round(decimals=DECIMALS)


def _checked_labels(attention: Attention) -> list[str]:
    check_attention(attention)
    if attention.query_tokens is not None:
        raise ValueError("bertviz's views here draw one sequence. attention_view shows a cross-attention.")
    return (
        characters_of(attention.tokens, attention.special) if attention.byte_level else list(attention.tokens)
    )
