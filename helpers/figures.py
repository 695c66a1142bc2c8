"""One look for all plotly figures, in light and dark, and the text alternative of each."""

from __future__ import annotations

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
        ValueError: no title, or no alternative text.
    """
    if not str(title or "").strip() or not str(alt or "").strip():
        raise ValueError("A figure needs a title that says the finding, and alternative text (`alt`).")
    fig.update_layout(template="course", title_text=title, meta={"alt": alt})
    if x:
        fig.update_xaxes(title_text=x)
    if y:
        fig.update_yaxes(title_text=y)
    return fig
