"""What a chapter costs where no other has run before."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from book.alone import Training, loading_cell, seconds, sentence, training
from book.execute import TRAINS

TRAINED = Training("chapters/08_fine_tuning", "1 min 31 s")


def timed(code: str, taken: float) -> nbformat.NotebookNode:
    times = {
        "iopub.execute_input": "2026-03-01T10:00:00.000000Z",
        "iopub.status.idle": f"2026-03-01T10:0{int(taken // 60)}:{taken % 60:09.6f}Z",
    }
    return new_code_cell(code, metadata={"execution": times})


def test_a_cells_time_is_from_its_start_to_its_end():
    assert seconds(timed("x", 83.5)) == 83.5
    assert seconds(new_code_cell("x")) == 0


@pytest.mark.parametrize(
    ("code", "loads"),
    [
        ("from helpers.training import sentiment_model", False),
        ("model = sentiment_model(profile)", True),
        ("weights = sha256(sentiment_folder(profile))", True),
        ("model = my_sentiment(profile)", False),
        (f"sentiment_model(profile)\n{TRAINS}model)", False),
    ],
)
def test_a_chapter_that_loads_the_model_of_another_is_known_by_its_code(code, loads):
    notebook = new_notebook(cells=[new_markdown_cell("sentiment_model(x)"), new_code_cell(code)])
    assert (loading_cell(notebook) is not None) == loads
    assert bool(sentence(notebook, "chapters/10_applications/sentiment", TRAINED)) == loads


def test_the_sentence_names_the_time_and_leads_to_the_chapter():
    notebook = new_notebook(cells=[new_code_cell("sentiment_model(profile)")])
    text = sentence(notebook, "chapters/10_applications/sentiment", TRAINED)
    assert "[Fine-tuning](../08_fine_tuning.ipynb)" in text
    assert "1 min 31 s" in text
    assert sentence(notebook, "chapters/01", None) == ""


def test_the_training_is_the_longest_cell_of_the_chapter_that_keeps_the_model(tmp_path):
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: chapters/one\nchapters:\n  - file: chapters/two\n"
    )
    executed = tmp_path / "executed"
    assert training(tmp_path, executed) is None
    one = new_notebook(cells=[timed("long", 500)])
    two = new_notebook(cells=[timed("train()", 91), timed(f"{TRAINS}model)", 3)])
    for folder in (tmp_path, executed):
        (folder / "chapters").mkdir(parents=True)
        nbformat.write(one, folder / "chapters" / "one.ipynb")
        nbformat.write(two, folder / "chapters" / "two.ipynb")
    assert training(tmp_path, executed) == Training("chapters/two", "1 min 31 s")
