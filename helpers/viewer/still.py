"""One head as a still picture in grey, for readers without scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image


def still_picture(
    weights: np.ndarray, rows: Sequence[str], columns: Sequence[str], name: str, title: str
) -> str:
    """The weights of one head, shape (n_q, n_k), as HTML that asks nothing of the network.

    Args:
        rows, columns: labels of the queries and keys; they are escaped.
        name: what the weights are of, for those who cannot see the picture.
    """
    shade = np.rint(255 * (1 - weights / max(weights.max(), 1e-9))).astype(np.uint8)
    row, column = divmod(int(weights.argmax()), len(columns))
    alt = (
        f"{title}. Weights of {name}, as shades of grey: darker is larger. "
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
        f'style="image-rendering:pixelated" href="data:image/png;base64,{_png(shade)}"/>'
        f"{''.join(labels)}</svg><p>{escape(alt)} The view that moves needs scripts.</p>"
    )


def _png(shade: np.ndarray) -> str:
    """A grey picture, shape (height, width), as a PNG in base64."""
    file = BytesIO()
    Image.fromarray(shade).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
