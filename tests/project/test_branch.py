"""The branch of the learner's notebooks: what it holds, and how it reaches the origin."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from book import branch
from book.repository import NOTEBOOKS_BRANCH

ROOT = Path(__file__).parents[2]


def git(folder, *arguments):
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_edition(clone, notebook):
    source = (clone / "chapters/one.ipynb").read_bytes()
    write(clone / "build/notebooks/one.ipynb", notebook)
    write(clone / "build/notebooks/more/two.ipynb", "two")
    digest = hashlib.sha256(source).hexdigest()
    write(clone / "build/notebooks/edition.json", json.dumps({"one.ipynb": digest, "more/two.ipynb": digest}))


@pytest.fixture
def clone(tmp_path):
    """A clone of an empty local repository, one commit ahead of it, with an edition of its chapter."""
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(tmp_path, "clone", "--quiet", "origin.git", "clone")
    clone = tmp_path / "clone"
    for name in ("LICENSE", "pyproject.toml", "helpers/tokens.py", "data/a.jsonl", "binder/runtime.txt"):
        write(clone / name, name)
    write(clone / "binder/postBuild", "#!/bin/sh\n")
    (clone / "binder/postBuild").chmod(0o755)
    write(clone / "docs/notebooks.md", "Begin here.")
    write(clone / "chapters/one.ipynb", "source")
    write(clone / ".gitignore", "build/\n*.ipynb\n")
    git(clone, "add", "--all", "--force")
    git(clone, "commit", "--quiet", "-m", "All", "--date", "2026-03-01T12:00:00Z")
    write(clone / "helpers/scratch.py", "not in git")
    make_edition(clone, "one")
    return clone


def run(clone, *options):
    return branch.main([*options, "--root", str(clone)])


def on_origin(clone, *arguments):
    return git(clone.parent / "origin.git", *arguments)


def test_the_name_is_the_one_that_the_buttons_use():
    assert branch.BRANCH == NOTEBOOKS_BRANCH


def test_it_holds_the_notebooks_at_its_top_and_what_they_need(clone):
    assert run(clone) == 0
    folder = clone / "build/branch"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "LICENSE",
        "README.md",
        "binder/postBuild",
        "binder/runtime.txt",
        "data/a.jsonl",
        "edition.json",
        "helpers/tokens.py",
        "more/two.ipynb",
        "one.ipynb",
        "pyproject.toml",
    }
    assert (folder / "README.md").read_text() == "Begin here."


def test_a_file_that_is_gone_is_gone_from_it_too(clone):
    run(clone)
    (clone / "build/notebooks/more/two.ipynb").unlink()
    run(clone)
    assert not (clone / "build/branch/more").exists()


def test_the_first_call_makes_the_branch_and_leaves_the_clone_as_it_was(clone, capsys):
    before = git(clone, "status", "--porcelain"), git(clone, "branch", "--list")
    assert run(clone, "--push") == 0
    assert (git(clone, "status", "--porcelain"), git(clone, "branch", "--list")) == before
    listing = on_origin(clone, "ls-tree", "-r", "notebooks").splitlines()
    assert len(listing) == 10
    assert [line.split()[0] for line in listing if line.endswith("binder/postBuild")] == ["100755"]
    assert on_origin(clone, "log", "--format=%an %s", "notebooks") == "Ada The learner's edition of " + git(
        clone, "rev-parse", "--short", "HEAD"
    )
    assert "the branch notebooks of the origin is at" in capsys.readouterr().out


def test_the_same_edition_makes_no_second_commit(clone, capsys):
    run(clone, "--push")
    assert run(clone, "--push") == 0
    assert "holds this edition already" in capsys.readouterr().out
    assert on_origin(clone, "rev-list", "--count", "notebooks") == "1"


def test_a_changed_edition_is_the_next_commit_so_that_a_learner_can_pull(clone):
    run(clone, "--push")
    git(clone.parent, "clone", "--quiet", "--branch", "notebooks", "origin.git", "learner")
    make_edition(clone, "one, measured again")
    run(clone, "--push")
    git(clone.parent / "learner", "pull", "--quiet", "--ff-only")
    assert (clone.parent / "learner/one.ipynb").read_text() == "one, measured again"
    assert on_origin(clone, "rev-list", "--count", "notebooks") == "2"


def test_a_shallow_clone_of_a_machine_without_a_name_can_publish(clone, monkeypatch):
    run(clone, "--push")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    git(
        clone.parent,
        "clone",
        "--quiet",
        "--depth",
        "1",
        "--branch",
        "main",
        f"file://{clone.parent}/origin.git",
        "ci",
    )
    monkeypatch.setenv("HOME", str(clone.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    shallow = clone.parent / "ci"
    make_edition(shallow, "from CI")
    assert run(shallow, "--push") == 0
    assert on_origin(clone, "show", "notebooks:one.ipynb") == "from CI"
    assert on_origin(clone, "rev-list", "--count", "notebooks") == "2"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda clone: git(clone, "remote", "remove", "origin"), "has no origin, so there is no place"),
        (lambda clone: git(clone, "remote", "set-url", "origin", "gone.git"), "git ls-remote failed"),
        (lambda clone: write(clone / "LICENSE", "another"), "changes that are in no commit: commit them"),
        (lambda clone: (clone / "build/notebooks/edition.json").unlink(), "Run first: make notebooks"),
        (lambda clone: write(clone / "chapters/one.ipynb", "newer"), "was made from another one.ipynb"),
        (lambda clone: write(clone / "build/notebooks/LICENSE", "x"), "both have LICENSE"),
    ],
    ids=["no origin", "no answer", "uncommitted", "no edition", "old edition", "a name twice"],
)
def test_what_stands_in_the_way_is_said_and_nothing_is_published(clone, capsys, spoil, said):
    spoil(clone)
    assert run(clone, "--push") == 1
    assert said in capsys.readouterr().err
    assert on_origin(clone, "branch", "--list", "notebooks") == ""


def test_a_push_that_the_origin_refuses_is_told_in_its_words(clone, capsys):
    hook = clone.parent / "origin.git/hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho the branch is protected\nexit 1\n")
    hook.chmod(0o755)
    assert run(clone, "--push") == 1
    assert "the branch is protected" in capsys.readouterr().err


def test_it_needs_nothing_but_python_itself():
    code = "import book.branch, sys; print([m for m in ('yaml', 'nbformat', 'sphinx') if m in sys.modules])"
    done = subprocess.run(["python3", "-S", "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
