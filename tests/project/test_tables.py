"""How the tables of outputs are marked for the page."""

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from book.tables import marked


def words(html: str) -> list[str]:
    return [cell.get_text().strip() for cell in BeautifulSoup(html, "html.parser").select(".course-words")]


FRAME = pd.DataFrame(
    {"text": ["a film", "<b> & more"], "share": [0.5, -1.25], "mixed": ["12 %", "none"], "n": [1_000, 2]},
    index=["first", "second"],
)


@pytest.mark.parametrize("html", [FRAME.to_html(), FRAME.style.format(escape="html").to_html()])
def test_columns_of_words_are_told_from_columns_of_numbers_heads_included(html):
    assert words(marked(html)) == ["text", "mixed", "a film", "12 %", "<b> & more", "none"]


def test_a_dataframe_and_a_styler_are_one_kind_of_table_to_the_page():
    for html in (FRAME.to_html(), FRAME.style.to_html()):
        table = BeautifulSoup(marked(html), "html.parser").table
        assert table["class"] == ["course-table"]
        assert "border" not in table.attrs


def test_a_table_keeps_its_other_classes():
    table = BeautifulSoup(marked(FRAME.to_html(classes="mine")), "html.parser").table
    assert table["class"] == ["mine", "course-table"]


@pytest.mark.parametrize(
    "number", ["1", "-0.25", "−3.5", "+1.2e-05", "12,345", "87.5%", "2.4×", "0.31 s", "nan", ""]
)
def test_a_column_of_such_numbers_stands_to_the_right(number):
    assert words(marked(f"<table><tbody><tr><td>{number}</td></tr></tbody></table>")) == []


def test_a_column_is_found_from_the_right_where_the_index_spans_rows():
    frame = pd.DataFrame(
        {"kind": ["x", "y"], "n": [1, 2]}, index=pd.MultiIndex.from_product([["a"], ["b", "c"]])
    )
    assert words(marked(frame.to_html())) == ["kind", "x", "y"]


def test_what_is_no_table_is_left_as_it_is():
    assert marked("<p>1 < 2 & <br></p>") == "<p>1 < 2 & <br></p>"


def test_text_and_styles_stay_as_they_were():
    html = FRAME.style.format(escape="html").to_html()
    before, after = (BeautifulSoup(text, "html.parser") for text in (html, marked(html)))
    assert before.get_text() == after.get_text()
    assert before.style.string == after.style.string
