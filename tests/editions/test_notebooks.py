"""The learner's notebooks beside the sources that they were made from and the pages that say the same."""

import ast
import json
import re
import symtable
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
from bs4 import BeautifulSoup
from IPython.core.inputtransformer2 import TransformerManager
from markdown_it import MarkdownIt

from book.alone import loading_cell, seconds
from book.edition.notebooks import LONG, MANIFEST, REMOVED
from book.edition.references import name
from book.execute import chapter_notebooks, glued
from book.publish import pages

ROOT = Path(__file__).parents[2]
EDITION = ROOT / "build" / "notebooks"
PAGES = pages(ROOT / "_toc.yml")
CHAPTERS = chapter_notebooks(ROOT)
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
MATHS = re.compile(r"\$\$.*?\$\$|(?<!\\)\$(?!\s)(?:[^$]|\\\$)*?(?<!\\)\$", re.DOTALL)
ADDED = "learner-"


def edition(page: str) -> nbformat.NotebookNode:
    path = EDITION / name(page)
    assert path.is_file(), "run make notebooks first"
    return nbformat.read(path, as_version=4)


def shown_source(path: Path) -> nbformat.NotebookNode:
    """The source without the cells that only record figures."""
    source = nbformat.read(ROOT / path, as_version=4)
    source.cells = [cell for cell in source.cells if REMOVED not in cell.metadata.get("tags", [])]
    return source


def names(code: str) -> tuple[set[str], set[str]]:
    """What a cell binds at its top level, and what it takes from the cells before it."""
    plain = TransformerManager().transform_cell(code)
    table = symtable.symtable(plain, "cell", "exec")
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    tree = ast.parse(plain)
    first: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            first[node.id] = min(first.get(node.id, node.lineno), node.lineno)
    for part in ast.walk(tree):
        if isinstance(part, ast.arg):
            first[part.arg] = 0
        elif isinstance(part, ast.comprehension):
            first |= {node.id: 0 for node in ast.walk(part.target) if isinstance(node, ast.Name)}
    loaded = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        if node.lineno < first.get(node.id, node.lineno + 1)
    }
    return bound, loaded


def tokens_of(text: str) -> list:
    return [child for token in MARKDOWN.parse(text) for child in [token, *(token.children or [])]]


def markdown(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


@pytest.mark.parametrize("page", PAGES)
class TestPage:
    def test_no_role_and_no_directive_is_left(self, page):
        for cell in markdown(edition(page)):
            code = {"code_inline", "fence"}
            shown = "\n".join(t.content for t in tokens_of(cell.source) if t.type in {"text", "html_inline"})
            assert not re.search(r"\{[\w:]+\}(?:`|$)|:::|<!--|\x00", shown), cell.id
            roles = re.findall(r"\{(?:glue:text|term|cite|cite:t|eq)\}`", cell.source)
            quoted = [t.content for t in tokens_of(cell.source) if t.type in code]
            assert len(roles) == sum(len(re.findall(r"\{[\w:]+\}`", text)) for text in quoted), cell.id

    def test_every_link_leads_to_something(self, page):
        notebook = edition(page)
        for cell in markdown(notebook):
            for token in tokens_of(cell.source):
                if token.type != "link_open" or re.match(r"[a-z]+:", str(token.attrs["href"])):
                    continue
                path, _, fragment = unquote(str(token.attrs["href"])).partition("#")
                assert path, (cell.id, fragment)
                target = (EDITION / name(page)).parent / path
                assert target.is_file(), (cell.id, path)
                if fragment:
                    kind, _, wanted = fragment.partition("=")
                    there = {other.id for other in nbformat.read(target, as_version=4).cells}
                    assert kind == "cell-id", (cell.id, fragment)
                    assert wanted in there, (cell.id, fragment)

    def test_it_carries_no_output_and_nothing_of_the_build(self, page):
        notebook = edition(page)
        assert set(notebook.metadata) == {"kernelspec", "language_info", "colab"}
        for cell in notebook.cells:
            assert set(cell.metadata) <= {"jupyter", "cellView"}, cell.id
            assert not cell.get("outputs"), cell.id
            assert cell.get("execution_count") is None, cell.id

    def test_it_says_what_the_page_says(self, page):
        if page == PAGES[0]:
            pytest.skip("the edition begins with a page of its own")
        article = BeautifulSoup((ROOT / "build" / "site" / f"{page}.html").read_text(), "html.parser").find(
            "article"
        )
        for part in article.select(
            ".math, .cell, .headerlink, .toctree-wrapper, .admonition-title, script, style, .course-figure, "
            ".backrefs, .label, div.citation"
        ):
            part.decompose()
        wanted = {
            letters(block.get_text()) for block in article.select("p, h1, h2, h3, td, th") if block.get_text()
        }
        wanted = {re.sub("^(Measuredonthemachinethatbuiltthis)page", r"\1edition", block) for block in wanted}
        said = set()
        for cell in markdown(edition(page)):
            html = MARKDOWN.render(MATHS.sub("", cell.source))
            soup = BeautifulSoup(html, "html.parser")
            said |= {letters(block.get_text()) for block in soup.select("p, li, h1, h2, h3, td, th")}
            said |= {letter.removeprefix("Warning").removeprefix("Note") for letter in said}
            said |= {
                letters(part)
                for block in soup.select("p")
                for part in re.split(r", (?=\*|$)", block.get_text())
            }
        assert sorted(wanted - said) == []


def letters(text: str) -> str:
    return re.sub(r"\W", "", text)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
class TestChapter:
    def test_its_code_is_the_sources_cell_by_cell(self, path):
        source = shown_source(path)
        made = edition(path.with_suffix("").as_posix())
        code = [(c.id, c.source) for c in made.cells if c.cell_type == "code" and not c.id.startswith(ADDED)]
        wanted = [(cell.id, cell.source) for cell in source.cells if cell.cell_type == "code"]
        assert [pair for pair in code if pair[0] != "setup"] == [p for p in wanted if p[0] != "setup"]
        assert dict(code)["setup"] != dict(wanted)["setup"]

    def test_nothing_of_what_the_left_out_cells_define_is_used_by_those_that_stay(self, path):
        left_out: set[str] = set()
        for cell in nbformat.read(ROOT / path, as_version=4).cells:
            if cell.cell_type != "code" or cell.source.startswith("%%"):
                continue
            bound, wanted = names(cell.source)
            if REMOVED in cell.metadata.get("tags", []):
                left_out |= bound
            else:
                assert wanted & left_out == set(), cell.id
                left_out -= bound

    def test_its_cells_keep_their_ids_and_order(self, path):
        source = shown_source(path)
        made = edition(path.with_suffix("").as_posix())
        assert [c.id for c in made.cells if not c.id.startswith(ADDED)] == [c.id for c in source.cells]

    def test_what_the_page_folds_is_folded_for_jupyterlab_and_for_colab(self, path):
        source = {cell.id: cell for cell in nbformat.read(ROOT / path, as_version=4).cells}
        for cell in edition(path.with_suffix("").as_posix()).cells:
            tags = set(source[cell.id].metadata.get("tags", [])) if cell.id in source else set()
            assert bool(tags & {"hide-input", "hide-cell"}) == ("cellView" in cell.metadata), cell.id
            assert bool(tags & {"hide-input", "hide-cell"}) == cell.metadata.get("jupyter", {}).get(
                "source_hidden", False
            ), cell.id
            assert ("hide-cell" in tags) == cell.metadata.get("jupyter", {}).get("outputs_hidden", False), (
                cell.id
            )

    def test_each_exercise_has_room_for_an_answer_before_its_folded_solution(self, path):
        cells = edition(path.with_suffix("").as_posix()).cells
        found = [number for number, cell in enumerate(cells) if cell.id.startswith("solution-")]
        assert len(found) >= 3
        for number in found:
            assert cells[number - 1].id == f"learner-open-{cells[number].id}"
            assert "JupyterLab" in cells[number - 1].source
            assert "Colab" in cells[number - 1].source
            if not cells[number - 2].id.startswith("solution-"):
                assert cells[number - 2].source == "# Your turn\n"

    def test_a_cell_that_takes_long_says_so_before_it_is_run(self, path):
        executed = nbformat.read(ROOT / "build" / "executed" / path, as_version=4)
        cells = edition(path.with_suffix("").as_posix()).cells
        before = {cell.id: cells[number - 1].source for number, cell in enumerate(cells)}
        for cell in executed.cells:
            if cell.cell_type == "code" and seconds(cell) > LONG:
                assert "The next cell takes a while" in before[cell.id], cell.id

    def test_its_first_lines_tell_its_cost_its_page_and_the_way_on(self, path):
        page = path.with_suffix("").as_posix()
        executed = nbformat.read(ROOT / "build" / "executed" / path, as_version=4)
        title = edition(page).cells[0].source
        values = glued(executed)
        assert f"{values['cost_time']} and {values['cost_memory']}" in title.split("\n\n")[2]
        assert "next: [" in title
        assert "[all chapters]" in title
        if loading_cell(executed) is not None:
            assert "**Alone**" in title
            assert "trains" in title


def test_the_chapters_that_need_the_sentiment_model_are_the_ones_that_say_so():
    alone = [p.stem for p in CHAPTERS if "**Alone**" in edition(p.with_suffix("").as_posix()).cells[0].source]
    assert alone == [
        "01_transformers",
        "05_seeing_attention",
        "sentiment",
        "11_efficiency",
        "12_outlook",
    ]


def test_the_site_hands_out_these_notebooks():
    for path in CHAPTERS:
        page = path.with_suffix("").as_posix()
        downloaded = (ROOT / "build" / "site" / "_sources" / path).read_bytes()
        assert downloaded == (EDITION / name(page)).read_bytes()


def test_the_manifest_names_every_notebook():
    assert sorted(json.loads((EDITION / MANIFEST).read_text())) == sorted(map(name, PAGES))
