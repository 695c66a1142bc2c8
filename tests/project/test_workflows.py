"""The workflows: nothing but `make`, pinned actions, no more rights than a job needs.

actionlint and zizmor read them too, in `make check`.
"""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
RIGHTS = {
    ("test", "test"): {"contents": "read"},
    ("publish", "test"): {"contents": "read"},
    ("publish", "site"): {"pages": "write", "id-token": "write"},
    ("publish", "notebooks"): {"contents": "write"},
    ("newest", "run"): {"contents": "read"},
    ("newest", "report"): {"contents": "read", "issues": "write"},
}


def jobs(path):
    return yaml.safe_load(path.read_text())["jobs"]


def steps(path):
    return [(name, step) for name, job in jobs(path).items() for step in job.get("steps", [])]


def test_there_are_three():
    assert [path.name for path in WORKFLOWS] == ["newest.yml", "publish.yml", "test.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
class TestWorkflow:
    def test_runs_targets_of_make_alone(self, path):
        commands = [step["run"] for _, step in steps(path) if "run" in step]
        assert commands or path.stem == "publish"
        assert [line for line in commands if not re.fullmatch(r"make [a-z-]+", line)] == []
        assert {line.split()[1] for line in commands} <= TARGETS

    def test_names_each_action_by_its_commit_and_says_the_version(self, path):
        used = re.findall(r"uses: (.+)", path.read_text())
        pinned = r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
        assert used
        assert [
            name for name in used if not re.fullmatch(rf"{pinned}|\$/\.github/workflows/test\.yml", name)
        ] == []

    def test_gives_each_job_the_rights_it_needs_and_no_more(self, path):
        assert yaml.safe_load(path.read_text())["permissions"] == {}
        for name, job in jobs(path).items():
            assert job["permissions"] == RIGHTS[path.stem, name]

    def test_leaves_no_key_of_the_repository_behind_where_nothing_is_pushed(self, path):
        for name, step in steps(path):
            if "actions/checkout" in step.get("uses", ""):
                pushes = jobs(path)[name]["permissions"].get("contents") == "write"
                assert step["with"]["persist-credentials"] is pushes

    def test_ends_a_job_that_hangs(self, path):
        for job in jobs(path).values():
            assert "uses" in job or job["timeout-minutes"] <= 240


def test_a_job_that_may_write_installs_and_builds_nothing():
    for path in WORKFLOWS:
        for name, job in jobs(path).items():
            if "write" in job["permissions"].values():
                made = {
                    step["run"].split()[1]
                    for job_name, step in steps(path)
                    if job_name == name and "run" in step
                }
                assert made <= {"publish-notebooks", "report-versions"}


def test_one_action_is_pinned_to_one_commit_everywhere():
    pins = {}
    for path in WORKFLOWS:
        for name, pin in re.findall(r"uses: (actions/[a-z-]+)@(.+)", path.read_text()):
            pins.setdefault(name, set()).add(pin)
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}


def test_the_caches_follow_the_lock_and_the_sources():
    text = (ROOT / ".github/workflows/test.yml").read_text()
    key = re.search(r"^ +key: (.+)$", text, re.MULTILINE)[1]
    assert re.findall(r"'([^']+)'", key) == [
        "requirements.txt", "chapters/**", "helpers/**", "data/**", "book/kernel/**",
    ]  # fmt: skip
    assert "cache-dependency-path: requirements.txt" in text
