"""Tables of pandas, marked so that the page can set them alike: numbers to the right, words to the left."""

from __future__ import annotations

import re

from bs4 import BeautifulSoup, Tag

TABLE = "course-table"
WORDS = "course-words"
_NUMBER = re.compile(
    r"[<>≤≥~±]?\s*[-−+]?(\d[\d,. ]*|\.\d+|nan|inf|NaN|–|—)(e[-+−]?\d+)?\s*(%|‰|×|x|s|ms|MB|GB)?"
)


def marked(html: str) -> str:
    """The HTML of an output, its tables and their columns of words marked by classes.

    A DataFrame loses the class `dataframe`, for which themes have a look that a Styler's table has not.

    A column is one of words when one of its cells holds something else than a number, perhaps with a unit.
    Columns are counted from the right, since the index on the left may span rows.
    """
    if "<table" not in html:
        return html
    soup = BeautifulSoup(html, "html.parser")
    for table in soup.find_all("table"):
        _add(table, TABLE)
        table.attrs.pop("border", None)
        body = [_cells(row, "td") for row in table.select("tbody tr")]
        width = max(map(len, body), default=0)
        for place in range(1, width + 1):
            column = [row[-place] for row in body if len(row) >= place]
            texts = [cell.get_text().strip() for cell in column]
            if all(not text or _NUMBER.fullmatch(text) for text in texts):
                continue
            heads = [_cells(row, "th") for row in table.select("thead tr")]
            for cell in [*column, *(row[-place] for row in heads if len(row) >= place)]:
                _add(cell, WORDS)
    return str(soup)


def _cells(row: Tag, name: str) -> list[Tag]:
    return row.find_all(name, recursive=False)


def _add(tag: Tag, name: str) -> None:
    before = [given for given in tag.get_attribute_list("class") if given and given != "dataframe"]
    tag["class"] = " ".join([*before, name])
