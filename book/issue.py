"""Reports what other versions of packages broke: `python -m book.issue` opens an issue for each list that failed.

It reads what `make test-colab` left in `build/editions`, and talks to GitHub by its program `gh`. Only
Python's own library is used: the job that may write issues installs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LISTS = {"colab": "Colab's versions", "lowest": "the lowest versions", "newest": "the newest versions"}


class IssueError(RuntimeError):
    """The issue cannot be opened; the message says why."""


@dataclass(frozen=True)
class Issue:
    """An issue: one that is open under the same title is commented on."""

    title: str
    text: str


def direct(root: Path) -> set[str]:
    """The packages that ``pyproject.toml`` names, spelled as the lock does."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        lines += extra
    return {re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", line)[0]).lower() for line in lines}


def table(changed: dict[str, list[str | None]]) -> str:
    """The packages whose version differs from the lock's, as a Markdown table."""
    rows = [f"| {name} | {old or 'not there'} | {new} |" for name, (old, new) in sorted(changed.items())]
    return "\n".join(["| package | in the lock | here |", "|---|---|---|", *rows])


def text(report: dict[str, Any], named: set[str], run: str) -> str:
    """What happened, in Markdown: chapters and errors first, then the versions that differ from the lock's.

    Args:
        report: a list's report, as ``tests/editions`` writes it.
        named: the packages that the project asks for itself; all others are folded.
        run: the address of the run, or nothing.
    """
    failures, changed = report["failures"], report["changed"]
    own = {name: pair for name, pair in changed.items() if name in named}
    others = {name: pair for name, pair in changed.items() if name not in named}
    parts = [
        f"{len(failures)} of {len(report['chapters'])} chapters stop with {LISTS[report['versions']]} "
        f"(Python {report['python']}, torch {report['torch']}):",
        "~~~text\n" + "\n".join(line.replace("~~~", "~ ~ ~") for line in failures) + "\n~~~",
        table(own) if own else "The packages that `pyproject.toml` names have the lock's versions.",
    ]
    if others:
        summary = f"<summary>{len(others)} more packages differ</summary>"
        parts.append(f"<details>{summary}\n\n{table(others)}\n\n</details>")
    here = f"make test-colab VERSIONS={report['versions']}"
    parts.append(f"To see it on your machine: `{here}`." + (f" The run: {run}" if run else ""))
    return "\n\n".join(parts) + "\n"


def issues(root: Path, run: str = "") -> list[Issue]:
    """One issue for each list whose report names failures, or that left no report.

    Raises:
        IssueError: a report cannot be read.
    """
    found = []
    for name, words in LISTS.items():
        path = root / "build" / "editions" / f"{name}.json"
        if not path.is_file():
            missing = f"`make test-colab VERSIONS={name}` ended before it had a result. {run}".strip() + "\n"
            found.append(Issue(f"No result with {words}", missing))
            continue
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
            if report["failures"]:
                found.append(Issue(f"Chapters stop with {words}", text(report, direct(root), run)))
        except (ValueError, KeyError) as error:
            raise IssueError(f"{path} is no report of make test-colab: {error!r}") from error
    return found


def gh(*arguments: str) -> str:
    """What GitHub's program answers.

    Raises:
        IssueError: it is missing, or refused; its words are in the message.
    """
    try:
        done = subprocess.run(["gh", *arguments], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise IssueError("GitHub's program gh is not installed") from error
    if done.returncode:
        raise IssueError(f"gh {arguments[0]} {arguments[1]} failed:\n{done.stderr.strip()}")
    return done.stdout.strip()


def submit(issue: Issue) -> str:
    """Open the issue, or comment on the open one of this title.

    Returns:
        The address that GitHub gives.

    Raises:
        IssueError: as `gh`.
    """
    known = json.loads(gh("issue", "list", "--state", "open", "--limit", "500", "--json", "number,title"))
    same = [str(entry["number"]) for entry in known if entry["title"] == issue.title]
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body.md"
        body.write_text(issue.text, encoding="utf-8")
        if same:
            return gh("issue", "comment", same[0], "--body-file", str(body))
        return gh("issue", "create", "--title", issue.title, "--body-file", str(body))


def address() -> str:
    """The address of the run of GitHub Actions that this is part of; empty elsewhere."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, number = (os.environ.get(name, "") for name in names)
    return f"{server}/{repository}/actions/runs/{number}" if number else ""


def main(arguments: list[str] | None = None) -> int:
    """The command line: 0 when all is reported, 1 with one sentence that says what stood in the way."""
    parser = argparse.ArgumentParser(prog="python -m book.issue", description=__doc__.splitlines()[0])
    parser.add_argument("--print", action="store_true", help="show the issues, open none")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    given = parser.parse_args(arguments)
    try:
        for issue in issues(given.root, address()):
            print(f"# {issue.title}\n\n{issue.text}" if given.print else submit(issue))
    except IssueError as error:
        print(f"issue: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
