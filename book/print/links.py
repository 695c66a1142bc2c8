"""Which places of each page other pages of the site link to."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

_ARTICLE = re.compile(r"<article\b.*?</article>", re.DOTALL)
_LINK = re.compile(r'<a\b[^>]*?\bhref="([^"#:]+)\.html#([^"]+)"')


def wanted(site: Path, pages: list[str]) -> dict[str, set[str]]:
    """For each page, the ids in it to which articles of other pages link.

    Args:
        site: the built site.
        pages: the paths of its pages, without ending.
    """
    ids: dict[str, set[str]] = {page: set() for page in pages}
    for page in pages:
        article = _ARTICLE.search((site / f"{page}.html").read_text(encoding="utf-8"))
        for path, anchor in _LINK.findall(article[0] if article else ""):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(path)))
            if target in ids:
                ids[target].add(unquote(anchor))
    return ids
