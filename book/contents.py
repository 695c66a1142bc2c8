"""The table of contents, as Jupyter Book reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx_external_toc.api import SiteMap
from sphinx_external_toc.parsing import MalformedError, parse_toc_yaml
from yaml import YAMLError

from book.errors import PublishError


def pages(toc: Path) -> list[str]:
    """The pages of a table of contents in reading order, as paths without ending.

    Raises:
        PublishError: the file is not a table of contents, or names pages by a pattern.
    """
    try:
        site = parse_toc_yaml(toc)
    except (MalformedError, YAMLError) as error:
        raise PublishError(f"{toc.name} is not a table of contents: {error}") from error
    patterns = [pattern for document in site.values() for pattern in document.child_globs()]
    if patterns:
        raise PublishError(f"{toc.name}: {patterns[0]} is a pattern; name each page, in reading order")
    return [re.sub(r"\.(?:md|ipynb)$", "", name) for name in _in_order(site, site.root.docname)]


def _in_order(site: SiteMap, name: str) -> Iterator[str]:
    yield name
    for child in site[name].child_files():
        yield from _in_order(site, child)
