import hashlib

import pytest

from helpers.cache import cache_folder, new_folder, sha256


def test_the_cache_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    assert cache_folder().is_dir()


def test_a_folder_appears_only_when_its_block_ends_well(tmp_path):
    target = tmp_path / "model"

    def fail():
        with new_folder(target) as scratch:
            (scratch / "half").write_text("written")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replacement_keeps_the_old_folder(tmp_path):
    target = tmp_path / "model"
    with new_folder(target) as scratch:
        (scratch / "weights").write_text("old")

    def fail():
        with new_folder(target) as scratch:
            (scratch / "weights").write_text("new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert (target / "weights").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_changed_file_gets_a_new_digest(tmp_path):
    path = tmp_path / "file"
    for content in (b"one", b"a longer two"):
        path.write_bytes(content)
        assert sha256(path) == hashlib.sha256(content).hexdigest()
