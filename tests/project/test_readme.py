"""What the README tells a reader to type is there, and works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from book.edition.references import START

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NOTEBOOKS = (ROOT / "docs" / "notebooks.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TORCH = re.search(r"^TORCH := (\S+)$", MAKEFILE, re.MULTILINE)[1]
TARGETS = set(re.findall(r"^([a-z-]+):(?!=)", MAKEFILE, re.MULTILINE))


def blocks(text, after):
    """The fenced blocks of a section, from the words `after` to the next bold lead or heading."""
    section = re.split(r"\n\*\*|\n## ", text.partition(after)[2])[0]
    return [block.splitlines()[1:] for block in section.split("```")[1::2]]


INSTALLATION, BUILD = blocks(README, "**Without `make`**")
ON_BRANCH = blocks(NOTEBOOKS, "On your own machine")[0]
PYTHON_LINES = sorted({line for line in [*INSTALLATION, *BUILD, *ON_BRANCH] if line.startswith("python ")})


def test_the_way_without_make_is_python_and_pip_alone():
    lines = [*INSTALLATION, *BUILD, *ON_BRANCH]
    assert [line for line in lines if not line.startswith("python -m ") and "activate" not in line] == []
    assert [line for line in lines if re.search(r"[;&|<>$]", line)] == []
    assert len(PYTHON_LINES) >= 8


@pytest.mark.parametrize("line", [line for line in PYTHON_LINES if " pip install " in line])
def test_what_pip_is_told_is_what_is_installed_here(line):
    arguments = line.split()[2:]
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "--dry-run", "--no-index", "--disable-pip-version-check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    wanted = [text for text in done.stdout.splitlines() if text.startswith("Would install")]
    assert wanted in ([], ["Would install transformers-course-0.1.0"])


@pytest.mark.parametrize(
    "line", [line for line in PYTHON_LINES if " pip " not in line and " venv" not in line]
)
def test_what_python_is_told_to_run_is_there_and_answers(line):
    arguments = line.split()[2:]
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_both_name_the_torch_that_make_installs():
    assert set(re.findall(r"\btorch==(\S+)", README + NOTEBOOKS)) == {TORCH}


def test_the_branch_begins_with_a_notebook_of_the_edition():
    assert re.findall(r"\]\((\w+)\.ipynb\)", NOTEBOOKS) == [START]


def test_every_target_of_make_that_is_named_is_one():
    named = set(re.findall(r"(?:`|^|- )make ([a-z][a-z-]*)", README + NOTEBOOKS, re.MULTILINE))
    assert len(named) > 8
    assert named - TARGETS == set()


def test_gitlabs_pages_are_made_by_make_and_lie_where_gitlab_looks():
    block = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1]
    assert len(block.splitlines()) <= 10
    job = yaml.safe_load(block)["pages"]
    built, moved = job["script"]
    assert built.split()[:2] == ["make", "site"]
    assert moved == "mv build/site public"
    assert job["artifacts"]["paths"] == ["public"]
    assert job["cache"]["key"]["files"] == ["requirements.txt"]
