"""The branch that Colab and Binder open: `python -m book.branch` puts it together, `--push` publishes it.

It holds the learner's edition and what a notebook needs where it is opened: the helpers, the corpora and
Binder's folder. Only Python's own library is used, so that a job that may write to the repository needs to
install nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

BRANCH = "notebooks"
CONTENT = ("LICENSE", "binder", "data", "helpers", "pyproject.toml")
"""What comes along as it is on the branch it was made from, as far as git knows it."""
README = "docs/notebooks.md"
EDITION, MANIFEST, FOLDER = "build/notebooks", "edition.json", "build/branch"


class BranchError(RuntimeError):
    """The branch cannot be put together or published; the message says why and what to do."""


def git(root: Path, *arguments: str, **environment: str) -> str:
    """What git answers in ``root``.

    Raises:
        BranchError: git is missing, or refused; its words are in the message.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, env={**os.environ, **environment}, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise BranchError("git is not installed") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip()
        raise BranchError(f"git {arguments[0]} failed:\n{words}")
    return done.stdout.strip()


def check_edition(root: Path) -> None:
    """See that the learner's edition is there and was made from the chapters as they stand.

    Raises:
        BranchError: it is not.
    """
    try:
        made_from = json.loads((root / EDITION / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BranchError(f"{EDITION} holds no edition. Run first: make notebooks") from error
    chapters = {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "chapters").rglob("*")
        if path.is_file()
    }
    old = [name for name, digest in made_from.items() if digest not in chapters]
    if old:
        raise BranchError(f"{EDITION} was made from another {', '.join(old)}. Run first: make notebooks")


def assemble(root: Path) -> Path:
    """Write the branch's whole content into ``build/branch``, which is replaced at the end.

    Returns:
        The folder.

    Raises:
        BranchError: there is no edition of these chapters, or a notebook has the name of something else.
    """
    check_edition(root)
    edition = root / EDITION
    sources = {path.relative_to(edition).as_posix(): path for path in edition.rglob("*") if path.is_file()}
    others = {name: root / name for name in git(root, "ls-files", "--", *CONTENT).splitlines()}
    others["README.md"] = root / README
    twice = sorted(sources.keys() & others.keys())
    if twice:
        raise BranchError(f"{EDITION} and the branch's other files both have {', '.join(twice)}")
    target = root / FOLDER
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for name, path in {**sources, **others}.items():
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, fresh / name)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return target


def commit(root: Path, folder: Path, parent: str | None) -> str | None:
    """A commit of ``folder`` on top of ``parent``; the working tree, its index and branches stay as they are.

    The author and the date are those of the commit that the folder was made from.

    Returns:
        The commit, or None when ``parent`` holds the same.

    Raises:
        BranchError: git refused.
    """
    index = root / "build" / "branch.index"
    index.unlink(missing_ok=True)
    settings = {
        "GIT_DIR": git(root, "rev-parse", "--absolute-git-dir"),
        "GIT_WORK_TREE": str(folder),
        "GIT_INDEX_FILE": str(index),
    }
    try:
        git(folder, "add", "--all", "--force", ".", **settings)
        tree = git(folder, "write-tree", **settings)
    finally:
        index.unlink(missing_ok=True)
    if parent and git(root, "rev-parse", f"{parent}^{{tree}}") == tree:
        return None
    name, email, date, short = git(root, "log", "-1", "--format=%an%n%ae%n%aI%n%h").splitlines()
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", name), ("EMAIL", email), ("DATE", date))
    }
    above = ["-p", parent] if parent else []
    return git(root, "commit-tree", tree, *above, "-m", f"The learner's edition of {short}", **who)


def published(root: Path) -> str | None:
    """The commit that the origin's branch stands at, fetched; None when the origin has no such branch.

    Raises:
        BranchError: there is no origin, or it cannot be reached.
    """
    try:
        git(root, "remote", "get-url", "origin")
    except BranchError as error:
        raise BranchError(
            "this clone has no origin, so there is no place to publish to. "
            "Name it: git remote add origin ADDRESS"
        ) from error
    if not git(root, "ls-remote", "origin", f"refs/heads/{BRANCH}"):
        return None
    git(root, "fetch", "--quiet", "origin", f"refs/heads/{BRANCH}")
    return git(root, "rev-parse", "FETCH_HEAD")


def push(root: Path, folder: Path) -> str:
    """Publish ``folder`` as the next commit of the origin's branch.

    Returns:
        What was done, in a sentence.

    Raises:
        BranchError: the working tree has changes that no commit holds, there is no origin, or git refused.
    """
    parent = published(root)
    if git(root, "status", "--porcelain", "--untracked-files=no"):
        raise BranchError("the working tree has changes that are in no commit: commit them first")
    made = commit(root, folder, parent)
    if made is None:
        return f"the branch {BRANCH} of the origin holds this edition already"
    git(root, "push", "--quiet", "origin", f"{made}:refs/heads/{BRANCH}")
    return f"the branch {BRANCH} of the origin is at {made[:10]}"


def main(arguments: list[str] | None = None) -> int:
    """The command line: 0 when done, 1 with one sentence that says what stood in the way."""
    parser = argparse.ArgumentParser(prog="python -m book.branch", description=__doc__.splitlines()[0])
    parser.add_argument("--push", action="store_true", help="publish it on the origin")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    given = parser.parse_args(arguments)
    root = given.root.resolve()
    try:
        folder = assemble(root)
        print(f"branch: {FOLDER} holds {sum(path.is_file() for path in folder.rglob('*'))} files")
        if given.push:
            print(f"branch: {push(root, folder)}")
    except BranchError as error:
        print(f"branch: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
