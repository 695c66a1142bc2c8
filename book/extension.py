"""The book's own Sphinx extension: mathematics typeset at build time, and each page's assets, no more."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

from book.buttons import launch_group
from book.maths import MathsError, Typesetter
from book.repository import Repository

LOGGER = logging.getLogger(__name__)
HERE = Path(__file__).parent


@cache
def typesetter(katex: str) -> Typesetter:
    """The one typesetter of a build, for the KaTeX at this path."""
    return Typesetter(Path(katex))


def _typeset_node(translator: HTML5Translator, node: nodes.Element, display: bool) -> str:
    try:
        return typesetter(translator.config.course_katex).html(node.astext(), display)
    except MathsError as error:
        LOGGER.warning("formula cannot be typeset: %s", error, location=node)
        return f"<code>{translator.encode(node.astext())}</code>"


def visit_math(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    html = _typeset_node(translator, node, display=False)
    translator.body.append(f'<span class="math notranslate nohighlight">{html}</span>')
    raise nodes.SkipNode


def visit_math_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula of its own, with its number where it has one."""
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node.get("number"):
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(
        f'<div class="course-formula">{_typeset_node(translator, node, display=True)}</div>'
    )
    translator.body.append("</div>")
    raise nodes.SkipNode


def without_icon_script(head: str) -> str:
    """The page's head without the theme's icon script: 0.5 MB gzipped, for icons that icons.css shows."""
    return re.sub(r"<script[^>]*/fontawesome\.js[^>]*></script>", "", head)


def finish_body(body: str) -> str:
    """The page's body without three labels that mislead screen readers.

    The fold of a cell hides its own words behind a general label; bibliography entries claim to be
    items of a list whose other children are not, and carry a role that is deprecated.
    """
    body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    body = body.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    return body.replace(' role="doc-biblioentry"', "")


def _has_math(doctree: nodes.document) -> bool:
    return (
        next(doctree.findall(lambda node: isinstance(node, nodes.math | nodes.math_block)), None) is not None
    )


def finish_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give a page the assets that it uses, and finish its body (Sphinx event ``html-page-context``)."""
    app.add_css_file("course/icons.css", priority=890)
    app.add_css_file("course/course.css", priority=900)
    app.add_css_file("course/print.css", priority=910, media="print")
    app.add_js_file("course/page.js", loading_method="defer")
    app.add_js_file("course/print.js", loading_method="defer")
    if doctree is None:
        return
    place = app.config.course_repository
    if place and app.env.doc2path(pagename).endswith(".ipynb"):
        group = launch_group(place, app.config.course_launch, pagename)
        context["header_buttons"][:0] = [group] if group else []
    context["body"] = finish_body(context.get("body", ""))
    if _has_math(doctree):
        app.add_css_file("course/katex/katex.css")
    if 'class="course-figure"' in context["body"]:
        app.add_js_file(
            "course/figures.js",
            loading_method="defer",
            **{"data-plotly": context["pathto"]("_static/course/plotly.js", resource=True)},
        )


def prepare(app: Sphinx) -> None:
    """See that KaTeX is there, and hand the filter to the templates (``builder-inited``)."""
    try:
        typesetter(app.config.course_katex)
    except FileNotFoundError as error:
        raise ExtensionError(str(error)) from error
    templates = getattr(app.builder, "templates", None)
    if templates is not None:
        templates.environment.filters["without_icon_script"] = without_icon_script


def end(app: Sphinx, exception: Exception | None) -> None:
    """End the typesetter's process (``build-finished``)."""
    typesetter(app.config.course_katex).close()


def own_fingerprint() -> str:
    """A hash of what shapes every page: this module, the typesetter, the templates. Changed, it rebuilds all."""
    digest = hashlib.sha256()
    own = [Path(__file__), HERE / "buttons.py", HERE / "maths.py", HERE / "typeset.js"]
    for path in [*own, *sorted((HERE / "templates").rglob("*.html"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.add_html_math_renderer(
        "course", inline_renderers=(visit_math, None), block_renderers=(visit_math_block, None)
    )
    app.add_config_value("course_katex", "", "html", types=[str])
    app.add_config_value("course_repository", None, "html", types=[Repository])
    app.add_config_value("course_launch", {}, "html", types=[dict])
    # Sphinx copies static files only when it writes a page: a change of them writes all pages again.
    app.add_config_value("course_assets", "", "html", types=[str])
    app.add_config_value("course_fingerprint", own_fingerprint(), "env", types=[str])
    app.connect("builder-inited", prepare)
    app.connect("html-page-context", finish_page, priority=800)
    app.connect("build-finished", end)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
