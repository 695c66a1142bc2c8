"""bertviz's views, made to work without a network and inside a page that they cannot disturb.

bertviz (Vig, 2019) asks three scripts of a CDN. Here its own script runs in a frame of its own, where a
few lines stand in for require.js and hand it d3 5 (from mpld3) and jquery (from sphinxcontrib-jquery).
"""

from __future__ import annotations

import json
import re
from html import escape
from importlib.metadata import distribution
from pathlib import Path

import bertviz
from IPython.display import HTML

from helpers.attention import Attention

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
        ValueError: the view would put more than 3 MB into the page.
    """
    return _frame(bertviz.head_view, attention, height, "bertviz head view: attention lines between tokens")


def model_view(attention: Attention, height: int = 420) -> HTML:
    """bertviz's model view: a thumbnail of every head. Arguments and errors as for `head_view`."""
    return _frame(bertviz.model_view, attention, height, "bertviz model view: a thumbnail of every head")


def _frame(view, attention: Attention, height: int, title: str) -> HTML:
    least = attention.weights.numel() * BYTES_PER_WEIGHT
    if least > MAX_BYTES:
        raise _too_heavy(f"at least {least / 1e6:.1f}", attention)
    weights = tuple(layer.unsqueeze(0) for layer in attention.weights)  # bertviz: (1, heads, n, n) a layer
    # bertviz writes the tokens unescaped into a script: a token "</script>" would end it
    page = view(weights, list(attention.tokens), html_action="return").data
    body, _, script = page.partition("</script>")[2].partition('<script type="text/javascript">')
    script = script.rpartition("</script>")[0]
    body = body.replace('<select id="layer">', '<select id="layer" aria-label="Layer">')
    script = re.sub(rf"\d+\.\d{{{DECIMALS + 1},}}(e-?\d+)?", _rounded, script).replace("</", "<\\/")
    script = script.replace("<!--", "<\\!--")
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


def _too_heavy(megabytes: str, attention: Attention) -> ValueError:
    return ValueError(
        f"bertviz would put {megabytes} MB into the page for {len(attention.tokens)} tokens. Take a shorter text."
    )


def _asset(package: str, path: str) -> str:
    """A file of an installed package, read without importing it (mpld3 would ask for matplotlib)."""
    return Path(str(distribution(package).locate_file(path))).read_text(encoding="utf-8")


def _rounded(number: re.Match) -> str:
    return json.dumps(round(float(number.group()), DECIMALS))
