"""What is executed again, and what is not."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from book import execute as module
from book.execute import build_folder, chapter_notebooks, execute, execution_key, glued, helper_sources

ROOT = Path(__file__).parents[2]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two chapters; running one is recorded and prints what `helpers.a` says."""
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "a.py").write_text("from helpers import b\n")
    (tmp_path / "helpers" / "b.py").write_text("X = 1\n")
    (tmp_path / "helpers" / "c.py").write_text("Y = 1\n")
    (tmp_path / "requirements.txt").write_text("torch-free==1\n")
    (tmp_path / "Makefile").write_text("TORCH := 1.0\nother := 1\n")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: chapters/index\nparts:\n- chapters:\n  - file: chapters/one\n  - file: chapters/two\n"
    )
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "index.md").write_text("# Index\n")
    for name, code in (("one", "from helpers.a import b"), ("two", "%pip list\nimport helpers.c")):
        cells = [new_markdown_cell("text", id="intro"), new_code_cell(code, id="code")]
        nbformat.write(new_notebook(cells=cells), tmp_path / "chapters" / f"{name}.ipynb")

    runs = []

    def run(paths, root):
        runs.append([path.stem for path in paths])
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            notebook.cells[1].outputs = [new_output("stream", text=f"run {len(runs)}")]
            nbformat.write(notebook, path)
        return {path.resolve() for path in paths}

    monkeypatch.setattr(module, "_run", run)
    return tmp_path, runs


def edit(path, cell, text):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[cell].source = text
    nbformat.write(notebook, path)


def test_chapters_come_in_the_order_of_the_contents(course):
    root, _ = course
    assert [path.stem for path in chapter_notebooks(root)] == ["one", "two"]


def test_the_chapter_that_trains_the_shared_model_is_executed_first(course):
    root, runs = course
    edit(root / "chapters" / "two.ipynb", 1, "import helpers.c\nhelpers.c.store_sentiment_model(1)")
    execute(root)
    assert runs == [["two", "one"]]


def test_nothing_is_executed_twice(course):
    root, runs = course
    assert execute(root)
    assert execute(root)
    assert runs == [["one", "two"]]


def test_new_prose_takes_over_the_old_outputs(course):
    root, runs = course
    execute(root)
    edit(root / "chapters" / "one.ipynb", 0, "new text")
    execute(root)
    done = nbformat.read(root / "build" / "executed" / "chapters" / "one.ipynb", as_version=4)
    assert done.cells[0].source == "new text"
    assert done.cells[1].outputs[0].text == "run 1"
    assert len(runs) == 1


def test_new_code_executes_its_chapter_alone(course):
    root, runs = course
    execute(root)
    edit(root / "chapters" / "two.ipynb", 1, "import helpers.c as d")
    execute(root)
    assert runs[1:] == [["two"]]


@pytest.mark.parametrize(("helper", "again"), [("a", ["one"]), ("b", ["one"]), ("c", ["two"])])
def test_an_edited_helper_executes_the_chapters_that_use_it_also_at_one_remove(course, helper, again):
    root, runs = course
    execute(root)
    (root / "helpers" / f"{helper}.py").write_text(
        "Z = 2\n" if helper != "a" else "from helpers import b\nZ = 2\n"
    )
    execute(root)
    assert runs[1:] == [again]


def test_an_edited_asset_of_a_helper_executes_the_chapters_that_use_it(course):
    root, runs = course
    (root / "helpers" / "assets").mkdir()
    (root / "helpers" / "assets" / "b.js").write_text("1")
    execute(root)
    (root / "helpers" / "assets" / "b.js").write_text("2")
    (root / "helpers" / "assets" / "other.js").write_text("2")
    execute(root)
    assert runs[1:] == [["one"]]


@pytest.mark.parametrize(
    ("name", "text"), [("requirements.txt", "torch-free==2\n"), ("Makefile", "TORCH := 2.0\n")]
)
def test_another_lock_executes_every_chapter(course, name, text):
    root, runs = course
    execute(root)
    (root / name).write_text(text)
    execute(root)
    assert runs[1:] == [["one", "two"]]


def test_other_lines_of_the_makefile_execute_nothing(course):
    root, runs = course
    execute(root)
    (root / "Makefile").write_text("TORCH := 1.0\nother := 2\n")
    execute(root)
    assert len(runs) == 1


def test_another_profile_is_another_execution(course, monkeypatch):
    root, _ = course
    notebook = nbformat.read(root / "chapters" / "one.ipynb", as_version=4)
    before = execution_key(notebook, root)
    monkeypatch.setenv("COURSE_PROFILE", "gpu")
    assert execution_key(notebook, root) != before


def test_a_failing_chapter_stops_the_build_and_keeps_the_last_good_output(course, monkeypatch):
    root, _ = course
    execute(root)
    edit(root / "chapters" / "one.ipynb", 1, "import helpers.a as broken")
    monkeypatch.setattr(module, "_run", lambda paths, root: set())
    assert not execute(root)
    done = nbformat.read(root / "build" / "executed" / "chapters" / "one.ipynb", as_version=4)
    assert done.cells[1].outputs[0].text == "run 1"
    assert not execute(root), "a failure is not forgotten"


def test_helpers_are_found_through_magics_and_at_one_remove(course):
    root, _ = course
    code = "%pip install x\nif True:\n    !ls\nfrom helpers import a"
    assert [path.stem for path in helper_sources(code, root)] == ["a", "b"]


def test_glued_values_are_read_from_the_outputs():
    output = new_output(
        "display_data",
        data={"application/papermill.record/text/plain": "'0.80'"},
        metadata={"scrapbook": {"name": "accuracy"}},
    )
    assert glued(new_notebook(cells=[new_code_cell(outputs=[output])])) == {"accuracy": "0.80"}


class TestTheGpuProfile:
    def test_its_outputs_leave_those_of_the_cpu_alone(self, course, monkeypatch):
        root, runs = course
        execute(root)
        monkeypatch.setenv("COURSE_PROFILE", "gpu")
        execute(root)
        assert runs == [["one", "two"], ["one", "two"]]
        assert build_folder(root) == root / "build" / "gpu"
        for place, output in (("build", "run 1"), ("build/gpu", "run 2")):
            done = nbformat.read(root / place / "executed" / "chapters" / "one.ipynb", as_version=4)
            assert done.cells[1].outputs[0].text == output

    def test_other_weights_are_another_execution(self, course, monkeypatch):
        root, runs = course
        monkeypatch.setenv("COURSE_PROFILE", "gpu")
        execute(root)
        monkeypatch.setenv("COURSE_WEIGHTS", "packaged")
        execute(root)
        assert len(runs) == 2

    @pytest.mark.parametrize(("profile", "guarded"), [("cpu", True), ("gpu", False)])
    def test_the_network_is_refused_to_the_cpu_profile_alone(self, tmp_path, monkeypatch, profile, guarded):
        paths = []
        monkeypatch.setenv("COURSE_PROFILE", profile)
        monkeypatch.setenv("PYTHONPATH", "elsewhere")
        monkeypatch.setattr(module.pytest, "main", lambda *a, **b: paths.append(os.environ["PYTHONPATH"]))
        module._run([], tmp_path)
        assert paths == [
            f"{tmp_path / 'book' / 'no_network'}{os.pathsep}elsewhere" if guarded else "elsewhere"
        ]

    def test_without_a_gpu_it_ends_with_one_line_before_anything_runs(self, course):
        root, _ = course
        done = subprocess.run(
            [sys.executable, "-m", "book.execute", "--root", root],
            env={**os.environ, "COURSE_PROFILE": "gpu", "CUDA_VISIBLE_DEVICES": ""},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1
        assert "PyTorch sees no CUDA GPU here. Unset COURSE_PROFILE" in done.stderr
        assert not (root / "build").exists()

    def test_make_test_never_needs_a_gpu(self):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        [prerequisites] = [line for line in makefile.splitlines() if line.startswith("test:")]
        recipe = makefile.split("\ntest:")[1].split("\n\n")[0]
        assert "gpu" not in prerequisites + recipe


def test_a_changed_corpus_executes_the_chapters_that_read_it(course):
    root, runs = course
    (root / "data").mkdir()
    (root / "data" / "names.jsonl").write_text("{}\n")
    (root / "data" / "names.md").write_text("# Names\n")
    edit(root / "chapters" / "two.ipynb", 1, 'import helpers.c\nrows = read_corpus("names")')
    execute(root)
    (root / "data" / "names.md").write_text("# Names, once more\n")
    execute(root)
    assert len(runs) == 1
    (root / "data" / "names.jsonl").write_text("{}\n{}\n")
    execute(root)
    assert runs[1:] == [["two"]]
