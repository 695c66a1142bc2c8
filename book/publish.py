"""From executed notebooks to what Sphinx reads: figures, widgets and errors in a form for a static page."""

from __future__ import annotations

import copy
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
import yaml

from book import alone, measured
from book.files import remove_others, write_if_changed
from book.repository import repository
from book.setup_cell import setup_source

FIGURE = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
DEFAULT_HEIGHT = 450
"""Plotly's own height of a figure, in pixels."""

DRAWN = {
    "bar", "box", "contour", "heatmap", "histogram", "histogram2d", "histogram2dcontour", "image", "pie",
    "scatter", "scatterternary", "violin",
}  # fmt: skip
"""Kinds of trace in plotly's cartesian bundle, the one that the pages load."""

COMPANIONS = {".bib", ".css", ".gif", ".jpg", ".jpeg", ".png", ".svg", ".webp"}
"""Endings of the files beside the chapters that pages may use."""

KERNEL_NOTE = (
    '<div class="course-needs-kernel" role="note"><p>This control needs a running kernel: open the chapter '
    "in Colab, Binder or JupyterLab.</p></div>"
)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PROGRESS = re.compile(
    r"^\s*(?:[^\n|]{0,80}\|[^\n|]*\|\s*\S+/\S+ \[|HBox\(children=\((?:HTML|FloatProgress))"
)
_FRAME = re.compile(r"""<iframe\b(?:[^>"']|"[^"]*"|'[^']*')*>""")
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*("[^"]*"|'[^']*')""")
_TITLE_TAGS = re.compile(r"&lt;(/?(?:b|i|em|strong|sub|sup)|br ?/?)&gt;")


class PublishError(ValueError):
    """A chapter that cannot be published; the message names the chapter, the cell and the cure."""


def publishable(notebook: dict[str, Any], name: str) -> Any:
    """An executed notebook as the site shows it; the one given is left as it is.

    Plotly figures become HTML that ``browser/figures.js`` draws; widgets become a note, and their
    state is dropped; tracebacks keep the frames of the chapter's own cells; the set-up cell is folded.
    Everything else passes unchanged.

    Args:
        notebook: an executed notebook, nbformat 4, as parsed JSON.
        name: how messages call it, such as ``chapters/04_attention``.

    Raises:
        PublishError: a code cell was not executed, a figure has no alternative text, a frame has no
            title, or a cell wrote to stderr without the tag ``expected-stderr``.
    """
    result = copy.deepcopy(notebook)
    result["metadata"].pop("widgets", None)
    for number, cell in enumerate(result["cells"], start=1):
        if cell["cell_type"] != "code":
            continue
        where = f"{name}, cell {number}"
        tags = cell.setdefault("metadata", {}).setdefault("tags", [])
        if "".join(cell["source"]).strip() and cell.get("execution_count") is None:
            raise PublishError(f"{where}: was not executed; run the notebooks again")
        if "setup" in tags:
            fold(cell, "Show the set-up of this notebook", "Hide the set-up of this notebook")
        cell["outputs"] = [
            shown for output in cell["outputs"] if (shown := _output(output, tags, where)) is not None
        ]
    return result


def fold(cell: dict[str, Any], show: str, hide: str) -> None:
    """Fold the code of a cell away behind these words, unless its tags already say how to show it."""
    tags = cell["metadata"]["tags"]
    if not {"hide-input", "hide-cell", "remove-input", "remove-cell"} & set(tags):
        tags.append("hide-input")
    cell["metadata"].setdefault("mystnb", {}).update(code_prompt_show=show, code_prompt_hide=hide)


def _output(output: dict[str, Any], tags: list[str], where: str) -> dict[str, Any] | None:
    kind = output["output_type"]
    if kind == "stream" and output["name"] == "stderr":
        return _stderr(output, tags, where)
    if kind == "error":
        output["traceback"] = shorten(output["traceback"])
        return output
    if kind not in {"display_data", "execute_result"}:
        return output
    data = output["data"]
    if FIGURE in data:
        output["data"] = {"text/html": figure_html(data[FIGURE], where)}
        output["metadata"] = {}
    elif WIDGET in data:
        if _PROGRESS.match("".join(data.get("text/plain", ""))):
            return None
        output["data"] = {"text/html": KERNEL_NOTE}
        output["metadata"] = {}
    elif "text/html" in data:
        data["text/html"] = frames_html("".join(data["text/html"]), where)
    return output


def _stderr(output: dict[str, Any], tags: list[str], where: str) -> dict[str, Any] | None:
    text = _ANSI.sub("", "".join(output["text"]))
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip() and not _PROGRESS.match(line)]
    if not lines:
        return None
    if not {"expected-stderr", "raises-exception"} & set(tags):
        raise PublishError(
            f"{where}: wrote to stderr: {lines[0].strip()[:120]!r}; cure its cause, "
            "or tag the cell expected-stderr where the reader should see it"
        )
    return output


def frames_html(text: str, where: str) -> str:
    """HTML whose frames load when they come near.

    Raises:
        PublishError: a frame has no title to say what it shows.
    """

    def late(match: re.Match[str]) -> str:
        tag = match[0]
        attributes = {name.lower(): value[1:-1].strip() for name, value in _ATTRIBUTE.findall(tag)}
        if not attributes.get("title"):
            raise PublishError(f"{where}: an <iframe> has no title attribute to say what it shows")
        return tag if "loading" in attributes else f'<iframe loading="lazy"{tag[len("<iframe") :]}'

    return _FRAME.sub(late, text)


def shorten(traceback: list[str]) -> list[str]:
    """A traceback without the frames inside libraries, whose paths are those of the building machine.

    Args:
        traceback: as IPython stores it: a header, one text a frame, the message.

    Returns:
        The header, the frames of notebook cells, a line that counts what is left out, the message.
    """
    if len(traceback) < 3:
        return traceback
    header, frames, message = traceback[:2], traceback[2:-1], traceback[-1]
    own = [frame for frame in frames if _ANSI.sub("", frame).lstrip().startswith(("Cell In[", "Input In ["))]
    left_out = len(frames) - len(own)
    note = [f"    [... {left_out} frame{'s' if left_out > 1 else ''} inside libraries]"] if left_out else []
    return [*header, *own, *note, message]


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
        PublishError: no alternative text, or a kind of trace that the site's plotly does not have.
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
    heading = f'<p class="course-figure-title">{title_html(text)}</p>' if text else ""
    return (
        f'<div class="course-figure">{heading}{controls_html(layout)}'
        f'<div class="course-scroll"><div class="course-plot" role="img" style="{style}" '
        f'aria-label="{html.escape(alt, quote=True)}"></div></div>'
        f'<script type="application/json">{embedded_json(content)}</script>'
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


def pages(toc: Path) -> list[str]:
    """The pages of a table of contents in reading order, as paths without ending.

    Raises:
        PublishError: the file has no ``root``.
    """
    content = yaml.safe_load(toc.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "root" not in content:
        raise PublishError(f"{toc.name}: has no root page")
    return list(_files(content))


def _files(entry: dict[str, Any]) -> Iterable[str]:
    if page := entry.get("root") or entry.get("file"):
        yield re.sub(r"\.(?:md|ipynb)$", "", page)
    for key in ("parts", "chapters", "sections", "subtrees", "entries"):
        for child in entry.get(key) or []:
            yield from _files(child)


def publish(root: Path, target: Path, executed: Path) -> list[Path]:
    """Bring ``target`` in step with the chapters, touching only the files whose content changes.

    Args:
        root: the repository: ``_toc.yml`` and ``chapters/`` are read from it.
        target: the folder that Sphinx reads.
        executed: the folder with the executed notebooks, laid out like ``root``.

    Returns:
        The files written or removed.

    Raises:
        PublishError: a page of the table of contents is missing, was not executed, or cannot be
            published. ``target`` is then left as it was.
    """
    contents: dict[Path, bytes] = {target / "_toc.yml": (root / "_toc.yml").read_bytes()}
    setup, trained = setup_source(repository(root)), alone.training(root, executed)
    for page in pages(root / "_toc.yml"):
        if (root / f"{page}.ipynb").is_file():
            contents[target / f"{page}.ipynb"] = _notebook(executed / f"{page}.ipynb", page, setup, trained)
        elif (root / f"{page}.md").is_file():
            text = (root / f"{page}.md").read_text(encoding="utf-8")
            contents[target / f"{page}.md"] = measured.filled(text, page, root).encode()
        else:
            raise PublishError(f"_toc.yml names {page}, but there is neither {page}.ipynb nor {page}.md")
    for path in sorted((root / "chapters").rglob("*")):
        if path.suffix in COMPANIONS and ".ipynb_checkpoints" not in path.parts:
            contents[target / path.relative_to(root)] = path.read_bytes()
    written = [path for path, content in contents.items() if write_if_changed(path, content)]
    return written + remove_others(target, set(contents))


def _notebook(path: Path, page: str, setup: str, trained: alone.Training | None) -> bytes:
    if not path.is_file():
        raise PublishError(f"{page}: has not been executed yet; run the notebooks first")
    notebook = publishable(nbformat.read(path, as_version=4), page)
    for cell in notebook["cells"]:
        if "setup" in cell["metadata"].get("tags", []):
            cell["source"] = setup
    if more := alone.sentence(notebook, page, trained):
        notebook["cells"][0]["source"] += f"\n\n{more}"
    return json.dumps(notebook, ensure_ascii=False, indent=1).encode() + b"\n"
