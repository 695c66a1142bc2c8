"""The outputs of a cell in a form for a static page, and what of them may not be published."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from book import tables
from book.errors import PublishError
from book.figures import FIGURE, figure_html

WIDGET = "application/vnd.jupyter.widget-view+json"
KERNEL_NOTE = (
    '<div class="course-needs-kernel" role="note"><p>This control needs a running kernel: open the chapter '
    "in Colab, Binder or JupyterLab.</p></div>"
)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PROGRESS = re.compile(
    r"^\s*(?:(?:[^\n]{0,80}: )?\s*\d{1,3}%\|[^\n|]*\| *\S+/\S+ \[\d+:\d\d(?::\d\d)?<"  # as tqdm prints it
    r"|HBox\(children=\((?:HTML|FloatProgress))"
)
_FRAME = re.compile(r"""<iframe\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w-]+)\s*=\s*("[^"]*"|'[^']*')""")
_OWN_VIEW = re.compile(r'\s*<div(?: class="course-attention" |><iframe class="course-bertviz" )')
"""How the HTML of this course's own views begins, which hold scripts on purpose."""
_ELEMENTS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "col", "colgroup", "dd", "del", "details", "div",
    "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "iframe", "img",
    "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "s", "small", "span", "strong", "style", "sub", "summary",
    "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul", "var", "wbr",
}  # fmt: skip
"""What may stand in an output: elements that show something, and neither run, load nor send anything."""
_NAME = re.compile(r"(?!on)[a-z][\w:.-]*")
_ADDRESS = re.compile(r"javascript:|vbscript:|data:(?!image/(?:gif|jpeg|png|webp)\b)")
_STYLE = re.compile(r"<style\b[^<>]*>[^<]*</style>", re.IGNORECASE)


def shown(output: dict[str, Any], cell: dict[str, Any], where: str) -> dict[str, Any] | None:
    """An output as the page shows it, or None if it shows nothing.

    Args:
        output: of an executed cell; it may be changed.
        cell: the cell, whose tags and metadata say what is meant to be seen.
        where: how an error names the cell.

    Raises:
        PublishError: as `book.publish.publishable`.
    """
    kind = output["output_type"]
    if kind == "stream" and output["name"] == "stderr":
        return _stderr(output, cell["metadata"]["tags"], where)
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
    elif "application/javascript" in data:
        raise PublishError(f"{where}: an output is a script, which no page runs")
    elif "text/html" in data:
        data["text/html"] = published_html("".join(data["text/html"]), where)
    elif "text/markdown" in data:
        check_html("".join(data["text/markdown"]), where)
    elif any(name.startswith("image/") for name in data) and not _image_alt(cell):
        raise PublishError(
            f"{where}: an image has no alternative text; put it into the cell's metadata, mystnb.image.alt"
        )
    return output


def _image_alt(cell: dict[str, Any]) -> str:
    return cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "").strip()


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


def published_html(text: str, where: str) -> str:
    """The HTML of an output: checked, its tables marked for the page, its frames loaded when they come near.

    Raises:
        PublishError: as `check_html`, or a frame has no title to say what it shows.
    """
    if _OWN_VIEW.match(text):
        return frames_html(text, where)
    check_html(text, where)
    return tables.marked(frames_html(text, where))


def check_html(text: str, where: str) -> None:
    """Sees that HTML only shows something: a text that came into it unescaped may not act in the page.

    Raises:
        PublishError: an element, attribute or address that could run a script, an image without alternative
            text, or HTML that browsers read in more than one way.
    """
    if len(re.findall(r"<style\b", text, re.IGNORECASE)) != len(_STYLE.findall(text)):
        raise PublishError(f"{where}: an output holds a <style> that does not end, or holds more than rules")
    checker = _Checker(where)
    checker.feed(text)
    checker.close()


class _Checker(HTMLParser):
    """Raises PublishError at the first thing that may not be published."""

    def __init__(self, where: str) -> None:
        super().__init__(convert_charrefs=False)
        self.where = where

    def _refuse(self, what: str) -> None:
        raise PublishError(
            f"{self.where}: an output's HTML holds {what}. If it came from a text, escape it: "
            "html.escape(text), or for a table's style .format(escape='html')"
        )

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Looks at an element and its attributes."""
        if tag not in _ELEMENTS:
            self._refuse(f"<{tag[:40]}>")
        for name, value in attributes:
            if not _NAME.fullmatch(name):
                self._refuse(f"the attribute {name[:40]!r} in <{tag}>")
            address = re.sub(r"[\x00-\x20]", "", value or "").lower()
            if name in ("href", "src") and _ADDRESS.match(address):
                self._refuse(f"the address {address[:40]!r} in <{tag}>")
            if name == "srcdoc":
                check_html(value or "", self.where)
        if tag == "img" and not (dict(attributes).get("alt") or "").strip():
            raise PublishError(f"{self.where}: an <img> has no alternative text in its attribute alt")

    def handle_endtag(self, tag: str) -> None:
        """Looks at the end of an element."""
        if tag not in _ELEMENTS:
            self._refuse(f"</{tag[:40]}>")

    def handle_data(self, data: str) -> None:
        """Refuses a bare `<`: a tag without its end would go on in the page's own HTML."""
        if "<" in data:
            self._refuse(f"a bare '<' near {data.strip()[:40]!r}")

    def handle_comment(self, data: str) -> None:
        """Refuses comments: browsers end some of them earlier."""
        self._refuse("a comment")

    def handle_decl(self, decl: str) -> None:
        """Refuses a declaration."""
        self._refuse("a declaration")

    def unknown_decl(self, data: str) -> None:
        """Refuses a section of another language."""
        self._refuse("a declaration")

    def handle_pi(self, data: str) -> None:
        """Refuses an instruction, which browsers take for a comment."""
        self._refuse("a comment")


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
