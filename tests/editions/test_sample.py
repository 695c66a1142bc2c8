"""Four chapters as Colab runs them: with its versions, helpers from a git address, each in an empty folder.

`make test-colab` runs all of them, each in an environment of its own. Here the first call brings Colab's
versions and what its set-up cell adds; both are kept under `build/editions`, so that later calls need no network.
"""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alone import ROOT, Run, colab_stub, learners_notebook, published, run_alone
from environments import copy_of, environment, packages_of, pins, python_of

from book.execute import chapter_notebooks
from helpers.materials.cache import cache_folder

BUILD = ROOT / "build" / "editions"
SAMPLE = ("01_transformers", "02_tokenization", "03_padding", "04_attention")
CHAPTERS = {path.stem: path for path in chapter_notebooks(ROOT)}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """The environment of a kernel in Colab, with the working tree in the place of the public address."""
    folder = tmp_path_factory.mktemp("colab")
    return {
        **published(folder / "published"),
        "PYTHONPATH": str(colab_stub(folder / "stub")),
        "COURSE_CACHE": str(cache_folder()),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel warns of its debugger
        "PIP_NO_BUILD_ISOLATION": "0",  # this is pip's way to say that nothing is to be fetched for a build
    }


@pytest.fixture(scope="module")
def first(settings, tmp_path_factory) -> tuple[Path, Run]:
    """An environment with Colab's versions after its first set-up cell, and what that cell did."""
    base = environment(pins("colab"), BUILD)
    asked = (ROOT / "pyproject.toml").read_bytes() + (
        ROOT / "helpers" / "install" / "packages.py"
    ).read_bytes()
    target = BUILD / f"{base.name}-set-up-{hashlib.sha256(asked).hexdigest()[:12]}"
    report = target / "set-up.json"
    if not report.exists():
        folder = tmp_path_factory.mktemp("first")
        scratch = Path(tempfile.mkdtemp(prefix=".set-up-", dir=BUILD))
        own = copy_of(base, scratch / "environment")
        notebook = learners_notebook(CHAPTERS["02_tokenization"])
        notebook.cells = [cell for cell in notebook.cells if cell.id == "setup"]
        run = run_alone(notebook, "set-up", own, folder, settings)
        assert run.passed, run.error
        without = [str(python_of(own)), "-m", "pip", "uninstall", "--quiet", "--yes", "transformers-course"]
        subprocess.run(without, check=True)
        (own / report.name).write_text(json.dumps(run.as_dict()))
        own.rename(target)
        scratch.rmdir()
    return target, Run(**json.loads(report.read_text()))


@pytest.fixture(scope="module")
def colab(first) -> Iterator[Path]:
    """A copy of that environment, without helpers; beside it, as hard links stay on one disk."""
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        yield copy_of(first[0], Path(scratch) / "colab")


def test_the_first_set_up_says_what_it_installs_and_how_much(first):
    said = first[1].setup
    assert "transformers (5.15.0 is here, <6,>=5.19 is needed)" in said
    assert f" {first[1].megabytes} MB unpacked: bertviz" in said
    assert "MB to fetch" in said
    assert said.endswith("No restart is needed.")


def test_the_first_set_up_leaves_torch_and_numpy_alone(first):
    packages = packages_of(first[0])
    assert (packages / "torch").is_symlink()
    assert [path.name for path in packages.glob("numpy-*.dist-info")] == [
        f"numpy-{pins('colab')['numpy']}.dist-info"
    ]
    assert "Left as they are: torch" in first[1].setup


@pytest.mark.parametrize("name", SAMPLE)
def test_a_chapter_runs_alone_with_colabs_versions(name, colab, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    run = run_alone(learners_notebook(CHAPTERS[name]), name, colab, tmp_path, settings)
    assert run.passed, run.error
    assert run.setup.startswith("Nothing is missing: transformers ")
