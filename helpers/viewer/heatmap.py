"""Attention weights as a heat map with a choice of head."""

from __future__ import annotations

from html import escape

import numpy as np
import plotly.graph_objects as go
import torch

from helpers.attention import Attention
from helpers.figures import SEQUENTIAL, finish
from helpers.viewer.checks import check_attention


def attention_heatmap(
    weights: np.ndarray, tokens: list[str], title: str, alt: str, head: int = 0
) -> go.Figure:
    """Attention weights of one or more heads as a heat map with a choice of head.

    Args:
        weights: shape (heads, n, n): row i holds how token i spreads its attention; rows sum to 1.
        tokens: the n tokens. The same token may come twice: axes count positions. What plotly would read
            as markup or as a formula is shown as text.
        title, alt: see `finish`.
        head: the one shown first.

    Raises:
        TypeError, ValueError: what is no attention, see `helpers.viewer.checks.check_attention`.
        ValueError: the shapes disagree, or there is no such head.
    """
    n, weights = len(tokens), np.asarray(weights, dtype=float)
    if weights.ndim != 3 or weights.shape[1:] != (n, n):
        raise ValueError(f"{n} tokens need weights of shape (heads, {n}, {n}), not {weights.shape}.")
    if head not in range(len(weights)):
        raise ValueError(f"Head {head!r} is not among {len(weights)} heads (from 0).")
    check_attention(
        Attention(tokens=list(tokens), token_type_ids=[0] * n, weights=torch.tensor(weights)[None])
    )
    names = [escape(token, quote=False).replace("$", "&#36;") for token in tokens]
    fig = go.Figure()
    for number, matrix in enumerate(weights):
        fig.add_heatmap(
            z=np.round(matrix, 4),
            zmin=0,
            zmax=1,
            visible=number == head,
            colorscale=SEQUENTIAL,
            colorbar={"title": "weight", "thickness": 12},
            text=[[f"{query} looks at {key}" for key in names] for query in names] if n <= 16 else None,
            hovertemplate="%{text}: %{z:.3f}<extra></extra>" if n <= 16 else "%{z:.3f}<extra></extra>",
        )
    finish(fig, title, alt, x="key: the token looked at", y="query: the token that looks")
    ticks = {"tickmode": "array", "tickvals": list(range(n)), "ticktext": names}
    fig.update_xaxes(**ticks, tickangle=-60, showgrid=False)
    fig.update_yaxes(**ticks, autorange="reversed", showgrid=False)
    buttons = [
        {
            "label": f"head {number}",
            "method": "restyle",
            "args": ["visible", [other == number for other in range(len(weights))]],
        }
        for number in range(len(weights))
    ]
    if len(buttons) > 1:
        menu = {
            "buttons": buttons,
            "active": head,
            "x": 1,
            "xanchor": "right",
            "y": 1.02,
            "yanchor": "bottom",
        }
        fig.update_layout(updatemenus=[menu])
    fig.update_layout(height=460)
    return fig
