"""Notebooks through nbmake: their outputs, their failures, their end; and the lock of the build folder."""

import re
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from book.run import kernel_environment, run_notebook

ROOT = Path(__file__).parents[2]


def executed(folder: Path, *code: str) -> tuple[str | None, list[str]]:
    """What nbmake said of a notebook with these cells, and the text of each cell's outputs."""
    nbformat.write(new_notebook(cells=[new_code_cell(text) for text in code]), folder / "it.ipynb")
    with kernel_environment(ROOT) as settings:
        report = run_notebook(Path("it.ipynb"), folder, settings)
    done = nbformat.read(folder / "it.ipynb", as_version=4)
    return report, ["".join(output.get("text", "") for output in cell.outputs) for cell in done.cells]


@pytest.fixture
def folder(tmp_path):
    """A folder whose name pytest and PYTHONPATH would take apart."""
    (odd := tmp_path / "a [b] c::d.ipynb").mkdir()
    return odd


def test_the_output_of_child_processes_and_of_c_is_in_the_notebook(folder):
    child = "import subprocess\nsubprocess.run('echo out; echo err 1>&2', shell=True)\nNone"
    report, texts = executed(folder, child, "import os\nos.write(2, b'from C\\n')\nNone")
    assert report is None
    assert sorted(texts[0].split()) == ["err", "out"]
    assert texts[1] == "from C\n"


ASK = """
import socket
try:
    socket.create_connection(("192.0.2.1", 9), timeout=0.01)
except ConnectionRefusedError as error:
    print(error)
"""  # an address that nobody has (RFC 5737)


def test_the_network_is_refused_to_a_kernel_and_to_its_children(folder):
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {ASK!r}])\nNone"
    report, texts = executed(folder, ASK, child)
    assert report is None
    assert texts == ["192.0.2.1: the chapters run without a network in the cpu profile\n"] * 2


def test_the_gpu_profile_may_use_it(folder, monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "gpu")
    _, [text] = executed(folder, "import socket\nprint(socket.socket.connect.__qualname__)")
    assert "_local" not in text


def test_a_failing_notebook_gives_nbmakes_report_and_keeps_what_ran(folder):
    report, texts = executed(folder, "print('before')", "raise ValueError('the reason')", "print('after')")
    assert re.search(r"ValueError\S*: the reason", report)
    assert texts == ["before\n", "", ""]


def test_an_exception_ends_the_kernel_and_what_it_started(tmp_path):
    """The notebook tells who runs and then waits for ever; the first look at it after that is interrupted."""
    said = tmp_path / "said"
    code = (
        "import os, subprocess, sys, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE, start_new_session=True)\n"
        f"pathlib.Path({str(said)!r} + '.new').write_text(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(said)!r} + '.new', {str(said)!r})\n"
        "child.wait()"
    )
    processes = []

    def interrupt():
        if said.exists():
            processes.extend(psutil.Process(int(pid)) for pid in said.read_text().split())
            raise KeyboardInterrupt

    nbformat.write(new_notebook(cells=[new_code_cell(code)]), tmp_path / "it.ipynb")
    with kernel_environment(ROOT) as settings, pytest.raises(KeyboardInterrupt):
        run_notebook(Path("it.ipynb"), tmp_path, settings, interrupt)
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert len(processes) == 2
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []


def test_nothing_of_the_one_who_runs_it_reaches_a_notebook(folder, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    with kernel_environment(ROOT) as settings:
        assert [name for name in settings if name.startswith("PYTEST_")] == []
        first, *others = settings["PYTHONPATH"].split(":")
        assert others == ["elsewhere"]
        assert (Path(first) / "sitecustomize.py").read_bytes() == (
            ROOT / "book" / "kernel" / "sitecustomize.py"
        ).read_bytes()
    assert not Path(first).exists()
