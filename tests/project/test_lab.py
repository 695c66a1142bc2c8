"""The learner's own folder: filled once, never written over."""

import hashlib
import json
import os
import subprocess
from datetime import date
from pathlib import Path

import pytest

from book import lab
from book.lab import Edition, LabError, built_edition, choose, hand_out, published_edition

DAY = date(2026, 3, 1)
FIRST = Edition({"a.ipynb": b"one", "sub/b.ipynb": b"two"}, {"a.ipynb": "h1", "sub/b.ipynb": "h2"})
CHANGED = Edition({"a.ipynb": b"ONE", "sub/b.ipynb": b"two again"}, {"a.ipynb": "h1x", "sub/b.ipynb": "h2"})


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.ipynb")}


def test_the_first_call_brings_all_and_the_second_nothing(tmp_path):
    assert hand_out(FIRST, tmp_path, DAY) == ["a.ipynb", "sub/b.ipynb"]
    assert hand_out(FIRST, tmp_path, DAY) == []
    assert contents(tmp_path) == FIRST.contents


def test_work_is_never_written_over_and_a_changed_chapter_comes_beside_it(tmp_path):
    hand_out(FIRST, tmp_path, DAY)
    (tmp_path / "a.ipynb").write_bytes(b"mine")
    assert hand_out(CHANGED, tmp_path, DAY) == ["a (2026-03-01).ipynb"]
    assert hand_out(CHANGED, tmp_path, DAY) == []
    assert contents(tmp_path) == {"a.ipynb": b"mine", "a (2026-03-01).ipynb": b"ONE", "sub/b.ipynb": b"two"}


def test_two_changes_on_one_day_both_come(tmp_path):
    hand_out(FIRST, tmp_path, DAY)
    hand_out(CHANGED, tmp_path, DAY)
    (tmp_path / "a (2026-03-01).ipynb").write_bytes(b"mine, too")
    again = Edition({"a.ipynb": b"third"}, {"a.ipynb": "h1y"})
    assert hand_out(again, tmp_path, DAY) == ["a (2026-03-01, 2).ipynb"]
    assert (tmp_path / "a (2026-03-01).ipynb").read_bytes() == b"mine, too"


def test_a_file_that_was_there_before_the_course_is_kept(tmp_path):
    (tmp_path / "a.ipynb").write_bytes(b"something else")
    hand_out(FIRST, tmp_path, DAY)
    assert (tmp_path / "a.ipynb").read_bytes() == b"something else"
    assert (tmp_path / "a (2026-03-01).ipynb").read_bytes() == b"one"


def test_another_measurement_of_the_same_source_is_no_change(tmp_path):
    hand_out(FIRST, tmp_path, DAY)
    measured_anew = Edition({"a.ipynb": b"one, in 12 s"}, {"a.ipynb": "h1"})
    assert hand_out(measured_anew, tmp_path, DAY) == []


def test_a_call_that_was_cut_short_goes_on(tmp_path, monkeypatch):
    write, calls = lab.write_if_changed, []

    def fails_later(path, content):
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return write(path, content)

    monkeypatch.setattr(lab, "write_if_changed", fails_later)
    with pytest.raises(KeyboardInterrupt):
        hand_out(FIRST, tmp_path, DAY)
    monkeypatch.setattr(lab, "write_if_changed", write)
    assert hand_out(FIRST, tmp_path, DAY) == ["sub/b.ipynb"]
    assert contents(tmp_path) == FIRST.contents


def test_a_folder_that_cannot_be_written_is_named_with_the_remedy(tmp_path):
    (tmp_path / "own").write_text("a file in the way")
    with pytest.raises(LabError, match=r"own.*make lab OWN=FOLDER"):
        hand_out(FIRST, tmp_path / "own", DAY)


@pytest.fixture
def clone(tmp_path):
    """A clone whose origin publishes an edition, and which has chapters."""
    root = tmp_path / "clone"
    (root / "chapters").mkdir(parents=True)
    (root / "chapters" / "a.ipynb").write_text("source")
    (root / "chapters" / "index.md").write_text("first")

    def git(*command):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *command], cwd=root, check=True
        )

    git("init", "-q", "-b", "main")
    manifest = {"a.ipynb": "old", "00_start.ipynb": "old"}
    (root / "edition.json").write_text(json.dumps(manifest))
    (root / "a.ipynb").write_bytes(b"published")
    (root / "00_start.ipynb").write_bytes(b"start")
    git("add", "edition.json", "a.ipynb", "00_start.ipynb")
    git("commit", "-q", "-m", "edition")
    git("update-ref", "refs/remotes/origin/notebooks", "HEAD")
    return root


def build(root, **digests):
    folder = root / "build" / "notebooks"
    folder.mkdir(parents=True)
    for name in ("a.ipynb", "00_start.ipynb"):
        (folder / name).write_bytes(b"built")
    (folder / "edition.json").write_text(
        json.dumps({f"{name}.ipynb": value for name, value in digests.items()})
    )


def test_what_the_origin_publishes_is_handed_out_without_a_build(clone):
    assert built_edition(clone) is None
    assert choose(clone) == published_edition(clone)
    assert choose(clone).contents["a.ipynb"] == b"published"


def test_the_edition_built_from_the_chapters_as_they_stand_goes_first(clone):
    digest = {
        name: hashlib.sha256(text).hexdigest() for name, text in [("a", b"source"), ("00_start", b"first")]
    }
    build(clone, **digest)
    assert choose(clone).contents["a.ipynb"] == b"built"


def test_a_stale_build_gives_way_to_the_published_edition(clone):
    build(clone, **{"a": "older", "00_start": "older"})
    assert choose(clone).contents["a.ipynb"] == b"published"
    subprocess.run(["git", "update-ref", "-d", "refs/remotes/origin/notebooks"], cwd=clone, check=True)
    assert choose(clone).contents["a.ipynb"] == b"built"


def test_without_any_edition_it_asks_for_the_build(tmp_path):
    (tmp_path / "chapters").mkdir()
    assert lab.main(["--root", str(tmp_path)]) == lab.NO_EDITION


def opened(monkeypatch, arguments):
    calls = []
    monkeypatch.setattr(lab, "run", lambda command, environment: calls.append((command, environment)) or 0)
    assert lab.main(arguments) == 0
    [(command, environment)] = calls
    config = Path(environment["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0])
    page = json.loads((config / "labconfig" / "page_config.json").read_text())
    assert json.loads((config / "labconfig" / "default_setting_overrides.json").read_text()) == lab.WANTED
    return command, page["disabledExtensions"]


def test_it_opens_on_the_start_page_of_the_learners_folder_and_asks_no_server(clone, monkeypatch):
    command, off = opened(monkeypatch, ["--root", str(clone), "--no-browser"])
    assert f"--ServerApp.root_dir={clone / 'my-notebooks'}" in command
    assert "--LabApp.default_url=/lab/tree/00_start.ipynb" in command
    assert command[-1] == "--no-browser"
    assert off == {"jupyterlab-myst": True, "@jupyterlab/apputils-extension:announcements": True}
    assert (clone / "my-notebooks" / "a.ipynb").read_bytes() == b"published"


def test_authors_get_the_sources_with_myst_shown(clone, monkeypatch):
    command, off = opened(monkeypatch, ["--root", str(clone), "--source"])
    assert f"--ServerApp.root_dir={clone / 'chapters'}" in command
    assert "jupyterlab-myst" not in off
    assert not (clone / "my-notebooks").exists()


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_only_root_is_told_to_be_allowed(clone, monkeypatch, user, allowed):
    monkeypatch.setattr(lab.os, "geteuid", lambda: user)
    command, _ = opened(monkeypatch, ["--root", str(clone)])
    assert ("--allow-root" in command) == allowed
