"""Plotly's figures as HTML: what a static page can show, with controls that a keyboard reaches."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from book.errors import PublishError

FIGURE = "application/vnd.plotly.v1+json"
DEFAULT_HEIGHT = 450
"""Plotly's own height of a figure, in pixels."""

DRAWN = {
    "bar", "box", "contour", "heatmap", "histogram", "histogram2d", "histogram2dcontour", "image", "pie",
    "scatter", "scatterternary", "violin",
}  # fmt: skip
"""Kinds of trace in plotly's cartesian bundle, the one that the pages load."""

_TITLE_TAGS = re.compile(r"&lt;(/?(?:b|i|em|strong|sub|sup)|br ?/?)&gt;")


def figure_html(figure: dict[str, Any], where: str) -> str:
    """A plotly figure as HTML: title and controls as HTML, a place for the plot, the data as JSON, once.

    Plotly draws menus and sliders inside the picture, out of reach of a keyboard and too small for a
    thumb; here they are a ``<select>``, buttons and ``<input type="range">``, which the page's script
    ties to the figure.

    Args:
        figure: the parsed figure, with its alternative text in ``layout.meta.alt``. A figure that is
            unreadable when narrow says in ``layout.meta.min_width`` (pixels) how much it needs: it
            then scrolls in a box of its own.
        where: how an error names the cell.

    Raises:
        PublishError: no alternative text, a kind of trace that the site's plotly does not have, or a
            number that JSON lacks (NaN, infinity).
    """
    layout = dict(figure.get("layout", {}))
    meta = layout.pop("meta", None)
    meta = meta if isinstance(meta, dict) else {}
    alt = meta.get("alt", "")
    if not isinstance(alt, str) or not alt.strip():
        raise PublishError(f"{where}: a figure has no alternative text; put it into layout.meta['alt']")
    unknown = {trace.get("type", "scatter") for trace in figure.get("data", [])} - DRAWN
    if unknown:
        raise PublishError(f"{where}: the pages cannot draw traces of type {', '.join(sorted(unknown))}")
    title = layout.pop("title", None)
    text = title.get("text") if isinstance(title, dict) else title
    height = layout.get("height") or _template_layout(layout).get("height") or DEFAULT_HEIGHT
    style = f"height:{round(float(height))}px"
    if width := meta.get("min_width"):
        style += f";min-width:{round(float(width))}px"
    content = {"data": figure.get("data", []), "layout": layout}
    if figure.get("frames"):
        content["frames"] = figure["frames"]
    try:
        embedded = embedded_json(content)
    except ValueError as error:
        raise PublishError(
            f"{where}: a figure holds NaN or infinity ({error}); leave those points out"
        ) from error
    heading = f'<p class="course-figure-title">{title_html(text)}</p>' if text else ""
    return (
        f'<div class="course-figure">{heading}{controls_html(layout)}'
        f'<div class="course-scroll"><div class="course-plot" role="img" style="{style}" '
        f'aria-label="{html.escape(alt, quote=True)}"></div></div>'
        f'<script type="application/json">{embedded}</script>'
        "<noscript><p>This figure is drawn by JavaScript, which is off in this browser. "
        f"It shows: {html.escape(alt)}</p></noscript></div>"
    )


def controls_html(layout: dict[str, Any]) -> str:
    """The menus and sliders of a plotly layout as form controls.

    ``data-control`` counts the menus, then the sliders; the value of a control, or ``data-choice`` of
    a button, is the place of the chosen button or step.
    """
    controls = []
    menus, sliders = layout.get("updatemenus") or [], layout.get("sliders") or []
    for number, menu in enumerate(menus):
        name, active = html.escape(menu.get("name") or "Show"), menu.get("active", 0)
        choices = [html.escape(str(button.get("label", ""))) for button in menu.get("buttons", [])]
        if menu.get("type") == "buttons":
            buttons = "".join(
                f'<button type="button" data-control="{number}" data-choice="{i}">{label}</button>'
                for i, label in enumerate(choices)
            )
            controls.append(f'<span role="group" aria-label="{name}">{buttons}</span>')
        else:
            options = "".join(
                f'<option value="{i}"{" selected" if i == active else ""}>{label}</option>'
                for i, label in enumerate(choices)
            )
            controls.append(
                f'<label>{name} <select data-control="{number}" autocomplete="off">{options}</select></label>'
            )
    for number, slider in enumerate(sliders, start=len(menus)):
        current = slider.get("currentvalue") or {}
        name = html.escape(current.get("prefix") or slider.get("name") or "Step")
        labels = [str(step.get("label", i)) for i, step in enumerate(slider.get("steps", []))]
        active = min(slider.get("active", 0), len(labels) - 1)
        controls.append(
            f'<label>{name} <input type="range" data-control="{number}" min="0" max="{len(labels) - 1}" '
            f'value="{active}" autocomplete="off"> <output>{html.escape(labels[active]) if labels else ""}</output></label>'
        )
    return f'<div class="course-controls pst-js-only">{"".join(controls)}</div>' if controls else ""


def _template_layout(layout: dict[str, Any]) -> dict[str, Any]:
    template = layout.get("template")
    return template.get("layout", {}) if isinstance(template, dict) else {}


def title_html(text: str) -> str:
    """A plotly title as HTML: its few inline tags kept, everything else escaped."""
    return _TITLE_TAGS.sub(r"<\1>", html.escape(text, quote=False))


def embedded_json(value: object) -> str:
    """Compact JSON that can stand in a ``<script>`` element: no ``<``, ``>`` or ``&`` is left in it.

    Raises:
        ValueError: a number that JSON lacks (NaN, infinity).
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
