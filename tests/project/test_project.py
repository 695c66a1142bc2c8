"""The project's files agree with each other."""

import re
import subprocess
import tomllib
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

from book.repository import repository

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "chapters").rglob("*.ipynb"))
TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()


def versions(path: str) -> dict[str, str]:
    pins = re.findall(r"^[\s-]*([A-Za-z0-9_-]+)==?([0-9][^\s\\]*)", (ROOT / path).read_text(), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in pins}


TORCH = re.search(r"^TORCH := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1)


def test_the_conda_environment_names_the_versions_of_the_lock():
    lock = versions("requirements.txt") | {"pytorch-cpu": TORCH, "python": "3.11"}
    pins = versions("environment.yml")
    assert {"python", "pytorch-cpu"} <= set(pins)
    assert {name: version for name, version in pins.items() if lock.get(name) != version} == {}


def test_the_conda_environment_brings_all_that_a_notebook_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {Requirement(line).name.lower() for line in project["dependencies"]}
    assert needed - set(versions("environment.yml")) == {"torch"}  # conda's name for it is pytorch-cpu
    comment = (ROOT / "environment.yml").read_text().partition("name:")[0]
    assert all(line in comment for line in project["optional-dependencies"]["weights"])


def test_every_line_of_the_lock_is_pinned_by_hash():
    lock = (ROOT / "requirements.txt").read_text().replace("\\\n", "")
    lines = [line for line in lock.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) > 100
    assert [line[:60] for line in lines if "==" not in line or "--hash=sha256:" not in line] == []
    assert "torch" not in versions("requirements.txt")


def test_ci_calls_the_readmes_test_command_alone():
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["exec make test"]
    assert "\nmake test " in (ROOT / "README.md").read_text()


def test_the_repositorys_address_stands_in_the_settings_at_most():
    place = repository(ROOT)
    address = place.url.partition("//")[2] if place else "github.com/" + "OWNER/"
    named = [
        name
        for name in TRACKED
        if name != "_config.yml" and (ROOT / name).is_file()
        if address.encode() in (ROOT / name).read_bytes()
    ]
    assert named == []


def test_no_link_of_the_file_system_is_in_the_repository():
    entries = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kinds = {line.split()[0] for line in entries.stdout.splitlines()}
    assert kinds == {"100644", "100755"}


def test_the_attention_views_browser_code_is_plain():
    scripts = sorted((ROOT / "helpers" / "viewer" / "assets").glob("*.js"))
    assert scripts
    for path in scripts:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert max(map(len, lines)) <= 110, path.name
        assert not [line for line in lines if re.search(r"\b(import|require|eval)\s*[ ({]", line)], path.name


def test_no_registry_host_and_no_absolute_path_is_in_the_repository():
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com"]
    found = {
        name: host
        for name in TRACKED
        if (ROOT / name).is_file()
        for host in [*hosts, "/root" + "/", "/home" + "/"]
        if host.encode() in (ROOT / name).read_bytes()
    }
    assert found == {}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_is_committed_without_outputs(self, path):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                assert cell.outputs == [], cell.id
                assert cell.execution_count is None, cell.id

    def test_has_cell_ids_that_a_person_chose(self, path):
        ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
        assert len(ids) == len(set(ids))
        assert [name for name in ids if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4,})*", name)] == []

    def test_begins_with_the_set_up_and_the_profile_and_ends_with_its_cost(self, path):
        code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert [code[0].id, code[1].id, code[-1].id] == ["setup", "profile", "cost"]
        assert code[0].source == "import helpers  # the learner's edition installs here what is missing"
        assert "open_chapter()" in code[1].source
        assert "close_chapter()" in code[-1].source

    def test_has_no_line_and_no_cell_that_a_page_cannot_show(self, path):
        shown = {
            cell.id: cell.source.splitlines()
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", [])
        }
        assert {name: len(lines) for name, lines in shown.items() if len(lines) > 64} == {}
        assert [line for lines in shown.values() for line in lines if len(line) > 88] == []

    def test_keeps_its_records_out_of_sight(self, path):
        records = [
            cell
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "code" and re.search(r"\bglue\(", cell.source)
        ]
        assert records
        assert [cell.id for cell in records if cell.metadata.get("tags") != ["remove-cell"]] == []

    def test_has_exercises_whose_executed_solutions_check_themselves(self, path):
        cells = nbformat.read(path, as_version=4).cells
        solutions = [cell for cell in cells if cell.id.startswith("solution-")]
        assert 3 <= len(solutions) <= 6
        for cell in solutions:
            assert "hide-cell" in cell.metadata["tags"]
            assert "assert" in cell.source, cell.id

    def test_never_branches_on_the_profiles_name(self, path):
        code = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert not [source for source in code if "profile.name" in source or "COURSE_PROFILE" in source]
