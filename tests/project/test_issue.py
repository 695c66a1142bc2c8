"""What other versions broke, told in an issue: from the report to GitHub's program."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from book import issue

ROOT = Path(__file__).parents[2]
PASSED = {"versions": "colab", "python": "3.11.7", "torch": "2.13.0", "failures": []}
PASSED |= {"chapters": [{}] * 18, "changed": {}}
FAILED = PASSED | {
    "versions": "newest",
    "failures": ["01_transformers, decoder: ImportError: no GgufConfig @ada ~~~ x"],
    "changed": {"transformers": ["5.23.0", "6.0.0"], "pyyaml": [None, "7.1"], "zipp": ["4.1.2", "4.2.0"]},
}
GH = """#!{python}
import json, os, pathlib, sys
log = pathlib.Path(os.environ["GH_LOG"])
body = next((pathlib.Path(b).read_text() for a, b in zip(sys.argv, sys.argv[1:]) if a == "--body-file"), "")
log.write_text(log.read_text() + json.dumps([sys.argv[1:3], sys.argv[3:5], body]) + "\\n")
if os.environ.get("GH_REFUSES") == sys.argv[2]:
    sys.exit("HTTP 403: Resource not accessible")
print(os.environ["GH_OPEN"] if sys.argv[2] == "list" else "https://github.com/ada/notes/issues/7")
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository with a report for each list, and a `gh` that notes what it is asked."""
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "build/editions").mkdir(parents=True)
    for name, report in {
        "colab": PASSED,
        "lowest": PASSED | {"versions": "lowest"},
        "newest": FAILED,
    }.items():
        (tmp_path / f"build/editions/{name}.json").write_text(json.dumps(report))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gh").write_text(GH.format(python=sys.executable))
    (tmp_path / "bin/gh").chmod(0o755)
    (tmp_path / "log").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("GH_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("GH_OPEN", "[]")
    for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(root, *options):
    return issue.main(["--root", str(root), *options])


def asked(root):
    return [json.loads(line) for line in (root / "log").read_text().splitlines()]


def test_an_issue_names_chapter_error_package_and_both_versions(root, capsys):
    assert run(root, "--print") == 0
    said = capsys.readouterr().out
    assert said.startswith(
        "# Chapters stop with the newest versions\n\n1 of 18 chapters stop with the newest versions"
    )
    assert "01_transformers, decoder: ImportError: no GgufConfig @ada" in said
    assert "| transformers | 5.23.0 | 6.0.0 |" in said
    assert "| pyyaml | not there | 7.1 |" in said
    assert "make test-colab VERSIONS=newest" in said
    assert said.count("# Chapters stop") == 1
    assert asked(root) == []


def test_packages_that_the_project_does_not_ask_for_are_folded(root, capsys):
    run(root, "--print")
    before, _, folded = capsys.readouterr().out.partition("<details>")
    assert "zipp" not in before
    assert "| zipp | 4.1.2 | 4.2.0 |" in folded


def test_errors_stand_in_a_block_that_they_cannot_end(root, capsys):
    run(root, "--print")
    lines = capsys.readouterr().out.splitlines()
    fences = [number for number, line in enumerate(lines) if "~~~" in line]
    assert [lines[number] for number in fences] == ["~~~text", "~~~"]
    assert "@ada" in lines[fences[0] + 1]


def test_it_is_opened_once(root, capsys):
    assert run(root) == 0
    listed, created = asked(root)
    assert listed[0] == ["issue", "list"]
    assert created[:2] == [["issue", "create"], ["--title", "Chapters stop with the newest versions"]]
    assert "GgufConfig" in created[2]
    assert capsys.readouterr().out == "https://github.com/ada/notes/issues/7\n"


def test_an_open_one_gets_a_comment(root, monkeypatch):
    known = [
        {"number": 3, "title": "Another"},
        {"number": 5, "title": "Chapters stop with the newest versions"},
    ]
    monkeypatch.setenv("GH_OPEN", json.dumps(known))
    assert run(root) == 0
    _, commented = asked(root)
    assert commented[0] == ["issue", "comment"]
    assert commented[1][0] == "5"


def test_where_all_passed_nothing_is_opened(root):
    (root / "build/editions/newest.json").write_text(json.dumps(PASSED | {"versions": "newest"}))
    assert run(root) == 0
    assert asked(root) == []


def test_a_list_that_left_no_report_is_reported_with_the_run(root, monkeypatch, capsys):
    (root / "build/editions/lowest.json").unlink()
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/notes")
    monkeypatch.setenv("GITHUB_RUN_ID", "12")
    run(root, "--print")
    said = capsys.readouterr().out
    assert "# No result with the lowest versions" in said
    assert said.count("https://github.com/ada/notes/actions/runs/12") == 2


def test_a_report_that_is_none_is_named(root, capsys):
    (root / "build/editions/colab.json").write_text("{}")
    assert run(root) == 1
    assert "colab.json is no report of make test-colab" in capsys.readouterr().err


def test_what_github_refuses_is_told_in_its_words(root, monkeypatch, capsys):
    monkeypatch.setenv("GH_REFUSES", "create")
    assert run(root) == 1
    assert "gh issue create failed:\nHTTP 403: Resource not accessible" in capsys.readouterr().err


def test_a_machine_without_githubs_program_is_told_so(root, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(root))
    assert run(root) == 1
    assert "gh is not installed" in capsys.readouterr().err


def test_it_needs_nothing_but_python_itself():
    code = "import book.issue, sys; print([m for m in ('yaml', 'nbformat', 'packaging') if m in sys.modules])"
    done = subprocess.run(["python3", "-S", "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
