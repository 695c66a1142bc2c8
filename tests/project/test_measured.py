"""The page Measured: what it promises is what the notebooks recorded."""

import dataclasses
import re
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from book import publish
from book.execute import chapter_notebooks
from book.measured import (
    HEADLINES,
    MeasuredError,
    costs_table,
    executed_chapters,
    figures_table,
    filled,
    versions,
)

ROOT = Path(__file__).parents[2]
RECORDED = {
    "cost_time": "48 seconds",
    "cost_memory": "0.93 GB",
    "cost_versions": "Python 3.11.7",
    "score": "0.81",
}
HEADLINE = {
    "chapter": "chapters/part/one",
    "figure": "score",
    "here": "{score} of 1",
    "published": "0.9",
    "source": "someone2020",
    "why": "Other data.",
}


@pytest.fixture
def root(tmp_path):
    """A book of one executed chapter in a folder of its own, and a page with every mark."""
    (tmp_path / "_config.yml").write_text("title: A book\n")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: chapters/index\nchapters:\n- file: chapters/part/one\n"
    )
    outputs = [
        new_output(
            "display_data",
            data={"application/papermill.record/text/plain": repr(value)},
            metadata={"scrapbook": {"name": name}},
        )
        for name, value in RECORDED.items()
    ]
    code = "torch.manual_seed(3)\nrng = random.Random(0)\ntrain(seed=12)\nsplit(random_state=3)"
    cells = [new_markdown_cell("# The first\n\nText"), new_code_cell(code, outputs=outputs)]
    for folder in (tmp_path, tmp_path / "build" / "executed"):
        (folder / "chapters" / "part").mkdir(parents=True)
        nbformat.write(new_notebook(cells=cells), folder / "chapters" / "part" / "one.ipynb")
    return tmp_path


def test_a_chapter_is_listed_with_what_it_recorded_and_the_seeds_of_its_code(root):
    table = filled("# M\n\n<!-- measured: costs -->\n", "chapters/measured", root)
    assert "| [The first](part/one.ipynb) | 48 seconds | 0.93 GB | 0, 3, 12 |" in table
    assert "<!--" not in table


def test_versions_that_are_the_same_everywhere_are_said_once(root):
    assert "Every chapter ran with Python 3.11.7." in filled(
        "<!-- measured: versions -->", "chapters/m", root
    )


def test_a_headline_stands_beside_the_published_figure_and_its_source(root):
    table = figures_table(executed_chapters(root), [HEADLINE], "chapters/measured")
    assert (
        "| score ([The first](part/one.ipynb)) | 0.81 of 1 | 0.9 {cite}`someone2020` | Other data. |" in table
    )


def test_a_headline_that_no_notebook_recorded_is_named(root):
    with pytest.raises(MeasuredError, match=r"chapters/part/one recorded no value 'recall'"):
        figures_table(executed_chapters(root), [{**HEADLINE, "here": "{recall}"}], "chapters/measured")


def test_a_headline_of_a_chapter_that_was_not_executed_is_named(root):
    with pytest.raises(MeasuredError, match=r"chapters/part/oen, of 'score', is no executed chapter"):
        figures_table(executed_chapters(root), [{**HEADLINE, "chapter": "chapters/part/oen"}], "chapters/m")


@pytest.mark.parametrize(
    "value",
    ["<script>alert(1)</script>", "<b>0.8</b>", "0.8 | 0.9", "*0.8*", "[SEP]", "a_b_c", "`x`", "$1 and $2", "&amp;",
     "\\|", "{cite}`x`", "![a](b)", "0.81", "a\nb"],
)  # fmt: skip
def test_a_recorded_value_is_shown_as_it_is_and_never_read_as_markup(root, value):
    [chapter] = executed_chapters(root)
    values = dict.fromkeys(chapter.values, value)
    chapter = dataclasses.replace(chapter, values=values)
    page = "chapters/measured"
    tables = [
        costs_table([chapter], page),
        versions([chapter]),
        figures_table([chapter], [{**HEADLINE, "here": "{score}"}], page),
    ]
    shown = " ".join(value.split())
    for text in tables:
        html = MarkdownIt("gfm-like", {"linkify": False}).use(dollarmath_plugin).render(text)
        soup = BeautifulSoup(html, "html.parser")
        assert not soup.find_all(["script", "b", "em", "img", "eq"])
        places = [cell.get_text() for cell in soup.find_all("td")] or [soup.get_text().strip()]
        assert shown in places or f"Every chapter ran with {shown}." in places


def test_an_unknown_mark_is_named(root):
    with pytest.raises(MeasuredError, match="'prices'"):
        filled("<!-- measured: prices -->", "chapters/measured", root)


def test_a_page_without_marks_is_left_as_it_is(root):
    assert filled("# Nothing <!-- to fill -->", "chapters/x", root) == "# Nothing <!-- to fill -->"


def test_the_published_page_has_the_tables(root, tmp_path):
    (root / "chapters" / "index.md").write_text("# Index\n\n<!-- measured: costs -->\n")
    target = tmp_path / "source"
    executed = nbformat.read(root / "build/executed/chapters/part/one.ipynb", as_version=4)
    executed.cells[1].execution_count = 1
    nbformat.write(executed, root / "build/executed/chapters/part/one.ipynb")
    publish.publish(root, target, root / "build" / "executed")
    assert "48 seconds" in (target / "chapters" / "index.md").read_text()


def test_every_numbered_chapter_has_a_headline_with_a_source_in_the_bibliography():
    headlines = yaml.safe_load(HEADLINES.read_text(encoding="utf-8"))
    bibliography = (ROOT / "chapters" / "references.bib").read_text(encoding="utf-8")
    keys = set(re.findall(r"^@\w+\{([^,\s]+),", bibliography, re.MULTILINE))
    pages = [path.with_suffix("").as_posix() for path in chapter_notebooks(ROOT)]
    numbered = {page for page in pages if re.match(r"chapters/\d\d_", page)}
    assert numbered - {headline["chapter"] for headline in headlines} == set()
    for headline in headlines:
        assert set(headline) == set(HEADLINE), headline
        assert headline["source"] in keys, headline["source"]
        assert re.search(r"\{\w+\}", headline["here"]), f"{headline['figure']}: typed, not recorded"
        assert headline["why"].count(". ") == 0, f"one sentence: {headline['why']}"
