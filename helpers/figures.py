"""One look for all plotly figures, in light and dark, and the text alternative of each."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
"""Okabe and Ito's colours, told apart by readers with any common colour blindness."""

SEQUENTIAL = "Viridis"
"""Colour scale of magnitudes: even in lightness, so that it also reads in grey."""

GREY = "#808080"

AXIS = {
    "gridcolor": "rgba(128,128,128,.25)",
    "zerolinecolor": GREY,
    "automargin": True,
    "title": {"standoff": 8},
}

pio.templates["course"] = go.layout.Template(
    layout={
        "colorway": COLOURS,
        "colorscale": {"sequential": SEQUENTIAL},
        "font": {"family": "system-ui, sans-serif", "size": 14, "color": GREY},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 60, "r": 20, "t": 60, "b": 55},
        "height": 380,
        "legend": {"orientation": "h", "y": -0.25},
        "xaxis": AXIS,
        "yaxis": AXIS,
        "title": {"x": 0, "xref": "container", "xanchor": "left", "font": {"size": 15}},
    }
)


def finish(fig: go.Figure, title: str, alt: str, x: str = "", y: str = "") -> go.Figure:
    """The figure in the course's template, with its finding as title, axis names and text alternative.

    Args:
        title: the finding, as a sentence.
        alt: what is seen, for those who cannot see it. Kept in `layout.meta`, where the published
            page finds it.
        x, y: names of the axes, with their units.

    Raises:
        ValueError: empty title or alternative text.
    """
    if not title.strip() or not alt.strip():
        raise ValueError("A figure needs a title that says the finding, and alternative text (`alt`).")
    fig.update_layout(template="course", title_text=title, meta={"alt": alt})
    if x:
        fig.update_xaxes(title_text=x)
    if y:
        fig.update_yaxes(title_text=y)
    return fig


def attention_heatmap(
    weights: np.ndarray, tokens: list[str], title: str, alt: str, head: int = 0
) -> go.Figure:
    """Attention weights of one or more heads as a heat map with a choice of head.

    Args:
        weights: shape (heads, n, n): row i holds how token i spreads its attention; rows sum to 1.
        tokens: the n tokens. The same token may come twice: axes count positions.
        title, alt: see `finish`.
        head: the one shown first.

    Raises:
        ValueError: the shapes disagree, or there is no such head.
    """
    n = len(tokens)
    if weights.ndim != 3 or weights.shape[1:] != (n, n):
        raise ValueError(f"{n} tokens need weights of shape (heads, {n}, {n}), not {weights.shape}.")
    if not 0 <= head < len(weights):
        raise ValueError(f"Head {head} is not among {len(weights)} heads (from 0).")
    fig = go.Figure()
    for number, matrix in enumerate(weights):
        fig.add_heatmap(
            z=np.round(matrix, 4),
            zmin=0,
            zmax=1,
            visible=number == head,
            colorscale=SEQUENTIAL,
            colorbar={"title": "weight", "thickness": 12},
            text=[[f"{query} looks at {key}" for key in tokens] for query in tokens] if n <= 16 else None,
            hovertemplate="%{text}: %{z:.3f}<extra></extra>" if n <= 16 else "%{z:.3f}<extra></extra>",
        )
    finish(fig, title, alt, x="key: the token looked at", y="query: the token that looks")
    ticks = {"tickmode": "array", "tickvals": list(range(n)), "ticktext": tokens}
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
