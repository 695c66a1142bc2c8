"""The set-up cell by itself: what it says, and when it stops."""

import os
import subprocess
import sys
from pathlib import Path

import pip
import pytest
from alone import ADDRESS
from environments import packages_of, python_of

from book.setup_cell import setup_source


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Runs a cell in a Python that has pip and nothing else."""
    environment = tmp_path_factory.mktemp("bare") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages_of(environment) / "pip").symlink_to(Path(pip.__file__).parent)

    def run(source: str, **settings: str) -> subprocess.CompletedProcess:
        command = [str(python_of(environment)), "-c", source]
        return subprocess.run(
            command,
            cwd=environment,
            env={**os.environ, "PYTHONPATH": "", **settings},
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.parametrize("repository", [ADDRESS, None], ids=["published", "local"])
def test_it_is_short_enough_to_be_read(repository):
    lines = setup_source(repository).splitlines()
    assert len(lines) <= 26
    assert max(map(len, lines)) <= 88


def test_it_installs_from_the_branch_with_the_notebooks():
    assert '"git+https://github.com/nobody/course-under-test@notebooks"' in setup_source(ADDRESS)


def test_an_address_that_cannot_be_reached_is_told_in_one_sentence_and_nothing_follows(bare, tmp_path):
    nowhere = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/nowhere.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS.url,
    }
    done = bare(setup_source(ADDRESS) + "\nprint('went on')", **nowhere)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(
        f"RuntimeError: The course's helpers could not be installed from git+{ADDRESS.url}@"
    )
    assert "Check that address and the connection" in last
    assert "does not appear to be a git repository" in done.stdout, "git's own words are shown above"
    assert "ModuleNotFoundError" not in done.stderr
    assert "went on" not in done.stdout


@pytest.mark.parametrize("repository", [ADDRESS, None], ids=["published", "local"])
def test_in_a_room_without_internet_it_asks_only_the_folder_of_wheels(bare, tmp_path, repository):
    wheels = tmp_path / "my wheels"
    wheels.mkdir()
    done = bare(setup_source(repository), COURSE_WHEELS=str(wheels), PIP_FIND_LINKS="")
    assert f"could not be installed from {wheels}." in done.stderr.strip().splitlines()[-1]
    assert "No matching distribution found for transformers-course" in done.stdout


def test_an_edition_without_an_address_says_how_to_install_from_a_copy(bare):
    done = bare(setup_source(None), COURSE_WHEELS="")
    assert "%pip install --no-deps FOLDER/OF/COPY" in done.stderr.strip().splitlines()[-1]
