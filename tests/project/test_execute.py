"""What is executed again, and what is not."""

import dataclasses
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from book import execute as module
from book import inputs
from book.execute import build_folder, chapter_notebooks, execute, glued
from book.progress import Progress, known_seconds
from helpers.materials.cache import InUseError, locked

ROOT = Path(__file__).parents[2]
DONE = Path("build/executed/chapters")


def make_course(root, **chapters):
    """A course whose chapters have a cell of text and one of code, and three small helpers."""
    for name, text in {
        "helpers/a.py": "from helpers import b\n",
        "helpers/b.py": "X = 1\n",
        "helpers/c.py": "Y = 1\n",
        "requirements.txt": "torch-free==1\n",
        "Makefile": "TORCH := 1.0\nother := 1\n",
        "_toc.yml": "format: jb-book\nroot: chapters/index\nparts:\n- chapters:\n"
        + "".join(f"  - file: chapters/{name}\n" for name in chapters),
        "chapters/index.md": "# Index\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name, code in chapters.items():
        cells = [new_markdown_cell("text", id="intro"), new_code_cell(code, id="code")]
        nbformat.write(new_notebook(cells=cells), root / "chapters" / f"{name}.ipynb")
    return root


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two chapters, and the list of what was executed: instead of a kernel it writes outputs."""
    runs = []

    def run(name, running, settings, tick):
        runs.append(name.stem)
        notebook = nbformat.read(running / name, as_version=4)
        notebook.cells[1].outputs = [new_output("stream", text=f"run {len(runs)}")]
        notebook.cells[1].execution_count = 1
        nbformat.write(notebook, running / name)

    monkeypatch.setattr(module, "run_notebook", run)
    return make_course(tmp_path, one="from helpers.a import b", two="%pip list\nimport helpers.c"), runs


def output(root, chapter, build="build"):
    return (
        nbformat.read(root / build / "executed" / "chapters" / f"{chapter}.ipynb", as_version=4)
        .cells[1]
        .outputs[0]
        .text
    )


def edit(path, cell, text):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[cell].source = text
    nbformat.write(notebook, path)


def test_chapters_come_in_the_order_of_the_contents(course):
    root, _ = course
    assert [path.stem for path in chapter_notebooks(root)] == ["one", "two"]


def test_a_chapters_own_sections_come_before_the_next_chapter(course):
    root, _ = course
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: chapters/index\nchapters:\n- file: chapters/index2\n  sections:\n"
        "  - file: chapters/two.ipynb\n  - url: https://example.org\n- file: chapters/one\n"
    )
    assert [path.stem for path in chapter_notebooks(root)] == ["two", "one"]


def test_the_chapter_that_trains_the_shared_model_is_executed_first(course):
    root, runs = course
    edit(root / "chapters" / "two.ipynb", 1, "import helpers.c\nhelpers.c.store_sentiment_model(1)")
    execute(root)
    assert runs == ["two", "one"]


def test_nothing_is_executed_twice(course):
    root, runs = course
    assert execute(root)
    assert execute(root)
    assert runs == ["one", "two"]


def test_new_prose_takes_over_the_old_outputs(course):
    root, runs = course
    execute(root)
    edit(root / "chapters" / "one.ipynb", 0, "new text")
    execute(root)
    done = nbformat.read(root / "build" / "executed" / "chapters" / "one.ipynb", as_version=4)
    assert done.cells[0].source == "new text"
    assert done.cells[1].outputs[0].text == "run 1"
    assert len(runs) == 2


def test_new_code_executes_its_chapter_alone(course):
    root, runs = course
    execute(root)
    edit(root / "chapters" / "two.ipynb", 1, "import helpers.c as d")
    execute(root)
    assert runs[2:] == ["two"]


@pytest.mark.parametrize(("helper", "again"), [("a", ["one"]), ("b", ["one"]), ("c", ["two"])])
def test_an_edited_helper_executes_the_chapters_that_use_it_also_at_one_remove(course, helper, again):
    root, runs = course
    execute(root)
    (root / "helpers" / f"{helper}.py").write_text(
        "Z = 2\n" if helper != "a" else "from helpers import b\nZ = 2\n"
    )
    execute(root)
    assert runs[2:] == again


@pytest.mark.parametrize(
    ("name", "text"), [("requirements.txt", "torch-free==2\n"), ("Makefile", "TORCH := 2.0\n")]
)
def test_another_lock_executes_every_chapter(course, name, text):
    root, runs = course
    execute(root)
    (root / name).write_text(text)
    execute(root)
    assert runs[2:] == ["one", "two"]


def test_other_lines_of_the_makefile_execute_nothing(course):
    root, runs = course
    execute(root)
    (root / "Makefile").write_text("TORCH := 1.0\nother := 2\n")
    execute(root)
    assert len(runs) == 2


class TestAFailure:
    @pytest.fixture
    def broken(self, course, monkeypatch):
        root, runs = course
        execute(root)
        edit(root / "chapters" / "one.ipynb", 1, "import helpers.a as broken")
        edit(root / "chapters" / "two.ipynb", 1, "import helpers.c as whole")
        sound = module.run_notebook
        monkeypatch.setattr(
            module,
            "run_notebook",
            lambda name, *rest: "the report" if name.stem == "one" else sound(name, *rest),
        )
        return root, runs

    def test_stops_the_build_and_keeps_the_last_good_output(self, broken):
        root, _ = broken
        assert not execute(root)
        assert output(root, "one") == "run 1"
        assert not execute(root), "a failure is not forgotten"

    def test_is_shown_with_its_report_and_costs_no_other_chapter(self, broken, capsys):
        root, runs = broken
        assert not execute(root)
        said = capsys.readouterr()
        assert "the report\n" in said.out
        assert "FAILED: chapters/one.ipynb: the error is above" in said.err
        assert runs[2:] == ["two"]
        assert output(root, "two") == "run 3"

    @pytest.mark.parametrize("code", ["importlib.import_module(name)", "for"])
    def test_of_reading_a_chapter_names_it_and_costs_no_other(self, course, capsys, code):
        root, runs = course
        edit(root / "chapters" / "one.ipynb", 1, code)
        assert not execute(root)
        assert runs == ["two"]
        assert "FAILED: chapters/one.ipynb: cell code: " in capsys.readouterr().err

    def test_of_a_file_that_is_no_notebook_names_it(self, course, capsys):
        root, runs = course
        (root / "chapters" / "one.ipynb").write_text('{"cells": [')
        assert not execute(root)
        assert runs == ["two"]
        assert "FAILED: chapters/one.ipynb: it is no notebook: " in capsys.readouterr().err


class TestWhatIsKept:
    @pytest.mark.parametrize(
        "text", ["", "{", "{}", "[]", "null", '{"cells": [{}], "nbformat": 4}', "\udc80"]
    )
    def test_a_damaged_notebook_is_executed_again(self, course, text):
        root, runs = course
        execute(root)
        (root / DONE / "one.ipynb").write_bytes(text.encode(errors="surrogateescape"))
        assert execute(root)
        assert runs == ["one", "two", "one"]
        assert output(root, "one") == "run 3"

    def test_a_notebook_that_was_not_executed_is_not_believed(self, course):
        root, runs = course
        execute(root)
        notebook = nbformat.read(root / DONE / "one.ipynb", as_version=4)
        notebook.cells[1].execution_count = None
        nbformat.write(notebook, root / DONE / "one.ipynb")
        execute(root)
        assert runs == ["one", "two", "one"]

    def test_a_notebook_that_was_not_executed_is_not_stored(self, course, monkeypatch, capsys):
        root, _ = course
        monkeypatch.setattr(module, "run_notebook", lambda *_: None)
        assert not execute(root)
        assert not (root / DONE).exists()
        assert "chapters/one.ipynb: not all of its cells were executed" in capsys.readouterr().err

    def test_another_notebook_than_the_chapters_is_not_stored(self, course, monkeypatch, capsys):
        root, _ = course
        sound = module.run_notebook

        def swapped(name, running, settings, tick):
            edit(running / name, 1, "of another run")
            sound(name, running, settings, tick)

        monkeypatch.setattr(module, "run_notebook", swapped)
        assert not execute(root)
        assert not (root / DONE).exists()

    def test_what_changed_while_it_ran_is_not_stored(self, course, monkeypatch, capsys):
        root, _ = course
        sound = module.run_notebook

        def slow(name, *rest):
            sound(name, *rest)
            (root / "helpers" / "b.py").write_text("X = 2\n")

        monkeypatch.setattr(module, "run_notebook", slow)
        assert not execute(root)
        assert [path.stem for path in (root / DONE).iterdir()] == ["two"]
        assert "chapters/one.ipynb: its code, or a file that it uses, changed" in capsys.readouterr().err
        monkeypatch.setattr(module, "run_notebook", sound)
        assert execute(root)

    def test_each_chapter_is_kept_as_it_ends(self, course, monkeypatch, capsys):
        root, runs = course
        sound = module.run_notebook

        def stopped(name, *rest):
            if name.stem == "two":
                raise KeyboardInterrupt
            sound(name, *rest)

        monkeypatch.setattr(module, "run_notebook", stopped)
        with pytest.raises(KeyboardInterrupt):
            execute(root)
        assert "stopped in two; of 2 chapters 1 were executed and are kept" in capsys.readouterr().out
        monkeypatch.setattr(module, "run_notebook", sound)
        execute(root)
        assert runs == ["one", "two"]


def test_one_run_at_a_time_executes_into_a_build_folder(course):
    root, runs = course
    with locked(root / DONE.parent, wait=False), pytest.raises(InUseError):
        execute(root)
    assert runs == []


def test_glued_values_are_read_from_the_outputs():
    output = new_output(
        "display_data",
        data={"application/papermill.record/text/plain": "'0.80'"},
        metadata={"scrapbook": {"name": "accuracy"}},
    )
    assert glued(new_notebook(cells=[new_code_cell(outputs=[output])])) == {"accuracy": "0.80"}


class TestTheGpuProfile:
    @pytest.fixture
    def gpu(self, monkeypatch):
        """A function that puts the `gpu` profile in force, with the given choices."""
        profile = inputs.current_profile()

        def put(**choices):
            monkeypatch.setenv("COURSE_PROFILE", "gpu")
            chosen = dataclasses.replace(profile, name="gpu", **choices)
            monkeypatch.setattr(inputs, "current_profile", lambda: chosen)

        return put

    def test_its_outputs_leave_those_of_the_cpu_alone(self, course, gpu):
        root, runs = course
        execute(root)
        gpu()
        execute(root)
        assert runs == ["one", "two"] * 2
        assert build_folder(root) == root / "build" / "gpu"
        assert output(root, "one") == "run 1"
        assert output(root, "one", "build/gpu") == "run 3"

    def test_other_weights_are_another_execution(self, course, gpu):
        root, runs = course
        gpu(encoder="bert")
        execute(root)
        gpu(encoder="minilm")
        execute(root)
        assert runs == ["one", "two"] * 2

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
    assert len(runs) == 2
    (root / "data" / "names.jsonl").write_text("{}\n{}\n")
    execute(root)
    assert runs[2:] == ["two"]


class TestTheCommand:
    """`python -m book.execute` as a process of its own, with real kernels."""

    @staticmethod
    def command(root, *before):
        return [*before, sys.executable, "-m", "book.execute", "--root", root]

    def run(self, root):
        return subprocess.run(self.command(root), cwd=ROOT, capture_output=True, text=True)

    def test_keeps_what_passes_shows_the_report_of_what_fails_and_says_a_line_a_chapter(self, tmp_path):
        (root := tmp_path / "a [b] c::d").mkdir()
        make_course(root, one="print(6 * 7)", bad="1 / 0", two="files = !echo from a shell\nprint(*files)")
        done = self.run(root)
        assert done.returncode == 1
        assert [output(root, "one"), output(root, "two")] == ["42\n", "from a shell\n"]
        assert "nbmake executes one, bad, two\n" in done.stdout
        ended = [
            line.split()[0] for line in done.stdout.splitlines() if re.match(r"   \w+ +\d+ seconds", line)
        ]
        assert ended == ["one", "bad", "two"]
        assert "ZeroDivisionError" in done.stdout
        assert "FAILED: chapters/bad.ipynb" in done.stderr
        assert not (root / DONE / "bad.ipynb").exists()

    def test_ends_with_one_line_where_another_runs(self, tmp_path):
        root = make_course(tmp_path, one="print(1)")
        with locked(root / DONE.parent, wait=False):
            done = self.run(root)
        assert done.returncode == 2
        assert done.stdout == ""
        [line] = done.stderr.splitlines()
        assert f"is in use by process {os.getpid()} on " in line

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_stops_at_once_with_its_kernel_and_keeps_what_was_done(self, tmp_path, number):
        told = tmp_path / "told"
        os.mkfifo(told)
        waits = f"import os\nwith open({str(told)!r}, 'w') as file:\n    file.write(str(os.getpid()))\n"
        waits += "import threading\nthreading.Event().wait()"
        root = make_course(tmp_path / "course", one="print(1)", two=waits, three="print(3)")
        with subprocess.Popen(
            self.command(root), cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=hears_signals
        ) as process:
            kernel = psutil.Process(int(told.read_text()))
            process.send_signal(number)
            said, _ = process.communicate()
        assert process.returncode == 128 + number
        assert "stopped in two; of 3 chapters 1 were executed and are kept" in said
        assert [path.stem for path in (root / DONE).iterdir()] == ["one"]
        _, alive = psutil.wait_procs([kernel], timeout=20)
        assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []

    def test_leaves_a_signal_alone_that_its_caller_ignores(self, tmp_path):
        """As under nohup: the chapter itself sends the signal to the run, which goes on."""
        code = (
            "import os, psutil, signal\n"
            "run = next(p for p in psutil.Process().parents() if 'book.execute' in p.cmdline())\n"
            "os.kill(run.pid, signal.SIGHUP)\nprint('sent')"
        )
        root = make_course(tmp_path, one=code)
        done = subprocess.run(self.command(root, "nohup"), cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0
        assert output(root, "one") == "sent\n"


def hears_signals() -> None:
    """A job in the background of a script is started deaf to Ctrl-C, and so would be what the test starts."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestProgress:
    @pytest.fixture
    def clock(self, monkeypatch):
        """A clock that moves when it is told to."""
        now = [0.0]
        monkeypatch.setattr("book.progress.time.monotonic", lambda: now[0])
        return now

    def test_the_last_time_is_from_the_first_cells_start_to_the_last_ones_end(self):
        moments = [
            {"iopub.execute_input": "2026-03-01T10:00:00Z", "iopub.status.idle": "2026-03-01T10:00:09Z"}
        ]
        moments += [
            {"iopub.execute_input": "2026-03-01T10:00:10Z", "shell.execute_reply": "2026-03-01T10:01:15.5Z"}
        ]
        notebook = new_notebook(cells=[new_code_cell(metadata={"execution": times}) for times in moments])
        assert known_seconds(notebook) == 75.5
        assert known_seconds(new_notebook(cells=[new_code_cell()])) is None
        assert known_seconds(None) is None

    def test_a_line_a_chapter_says_what_is_left_at_todays_pace(self, clock):
        stream = io.StringIO()
        progress = Progress({"one": 10.0, "two": 50.0, "new": None}, stream)
        for chapter, taken in (("one", 20), ("two", 100), ("new", 5)):
            progress.begin(chapter)
            clock[0] += taken
            progress.end("FAILED" if chapter == "two" else "")
        progress.close()
        assert [" ".join(line.split()) for line in stream.getvalue().splitlines()] == [
            "one 20 seconds; about 2 min 40 s left",
            "two 1 min 40 s; FAILED; about 1 min 00 s left",
            "new 5 seconds",
        ]

    def test_without_known_times_the_rest_is_told_after_the_first(self, clock):
        stream = Terminal()
        progress = Progress({"one": None, "two": None, "three": None}, stream)
        progress.begin("one")
        assert "left" not in stream.getvalue()
        clock[0] += 30
        progress.end()
        assert "about 1 min 00 s left" in stream.getvalue()
        progress.close()

    def test_a_terminal_shows_what_runs_for_how_long_and_what_is_left(self, clock):
        stream = Terminal()
        progress = Progress({"one": 10.0, "two": 50.0}, stream)
        progress.begin("one")
        clock[0] += 4
        progress.tick()
        last = stream.getvalue().split("\r")[-1]
        assert last.startswith("   one, 4 seconds |")
        assert last.rstrip().endswith("about 56 seconds left")
        clock[0] += 40  # four times as long as the last time: the others' share stays
        progress.tick()
        assert stream.getvalue().rstrip().endswith("about 50 seconds left")
        progress.close()
