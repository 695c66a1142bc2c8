"""What stands in front of the printed book: its title page and its contents with page numbers."""

from __future__ import annotations

import html
from pathlib import Path

from book.print.press import ORIGIN
from book.print.volume import Part

HERE = Path(__file__).parent


def front(title: str, parts: list[Part], mark: str) -> str:
    """The title page and the contents as one page of HTML, each entry linked to its place in the book.

    Args:
        title: of the book.
        parts: the chapters, in their order; their pages are numbered from 1.
        mark: the book's sign, as SVG.
    """
    first, entries = 1, []
    for number, part in enumerate(parts, start=1):  # 0 is the front itself
        for chapter in part.headings:
            entries.append(_entry("chapter", chapter.title, number, chapter.page, chapter.top, first))
            entries += [
                _entry("section", section.title, number, section.page, section.top, first)
                for section in chapter.below
            ]
        first += len(part.reader.pages)
    style = (HERE / "contents.css").read_text(encoding="utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{style}</style></head><body>"
        f'<header>{mark}<p class="title">{html.escape(title)}</p>'
        f"<p>The print edition, {first - 1} pages</p>"
        '<p class="licence">Code: MIT licence. Text and figures: CC-BY 4.0. Models, data and libraries keep '
        "their own licences.</p></header>"
        f"<main><h1>Contents</h1>{''.join(entries)}</main></body></html>"
    )


def _entry(kind: str, title: str, part: int, page: int, top: float, first: int) -> str:
    return (
        f'<p class="{kind}"><a href="{ORIGIN}at/{part}/{page}/{top + 4:.0f}">'
        f"<span>{html.escape(title)}</span><i></i><b>{first + page}</b></a></p>"
    )
