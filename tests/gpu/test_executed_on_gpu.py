"""The chapters as a GPU executed them: `make test-gpu`."""

import os
import re
from pathlib import Path

import nbformat
import pytest

from book.execute import build_folder, chapter_notebooks, execution_key, glued

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(os.environ.get("COURSE_PROFILE") != "gpu", reason="run make test-gpu")


def executed(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(build_folder(ROOT) / "executed" / path, as_version=4)


@pytest.mark.parametrize("path", chapter_notebooks(ROOT), ids=lambda path: path.stem)
class TestChapter:
    def test_its_output_belongs_to_its_code_helpers_profile_and_weights(self, path):
        source = nbformat.read(ROOT / path, as_version=4)
        assert executed(path).metadata["course_key"] == execution_key(source, ROOT)

    def test_every_cell_ran_in_order(self, path):
        counts = [cell.execution_count for cell in executed(path).cells if cell.cell_type == "code"]
        assert counts == list(range(1, len(counts) + 1))

    def test_it_ran_on_the_gpu(self, path):
        [cell] = [cell for cell in executed(path).cells if cell.id == "profile"]
        assert " on cuda" in "".join(output.get("text", "") for output in cell.outputs)

    def test_every_figure_quoted_in_its_text_was_recorded(self, path):
        notebook = executed(path)
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        assert set(re.findall(r"\{glue:text\}`([^`]+)`", text)) <= set(glued(notebook))


def test_fine_tuning_reaches_the_promised_accuracy():
    values = glued(executed(Path("chapters/08_fine_tuning.ipynb")))
    assert float(values["accuracy_test"]) >= 0.85
