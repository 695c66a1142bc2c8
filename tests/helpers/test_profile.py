import pytest
import torch

from helpers.materials.checkpoints import CHECKPOINTS
from helpers.materials.reviews import load_reviews
from helpers.profile import current_profile


@pytest.fixture(autouse=True)
def fresh():
    current_profile.cache_clear()
    yield
    current_profile.cache_clear()


def test_without_a_setting_the_profile_is_cpu(monkeypatch):
    monkeypatch.delenv("COURSE_PROFILE", raising=False)
    assert current_profile().name == "cpu"
    assert current_profile().device == torch.device("cpu")


def test_an_unknown_profile_is_named_with_the_known_ones(monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "tpu")
    with pytest.raises(ValueError, match=r"'tpu'.*'cpu', 'gpu'"):
        current_profile()


def test_gpu_without_a_gpu_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setenv("COURSE_PROFILE", "gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="Unset COURSE_PROFILE"):
        current_profile()


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
@pytest.mark.parametrize("weights", ["Packaged", "package", "hub", "1", " "])
def test_misspelt_weights_are_named_before_anything_is_fetched(monkeypatch, profile, weights):
    monkeypatch.setenv("COURSE_PROFILE", profile)
    monkeypatch.setenv("COURSE_WEIGHTS", weights)
    with pytest.raises(ValueError, match=f"COURSE_WEIGHTS={weights!r} is not known. Set it to 'packaged'"):
        current_profile()


@pytest.fixture
def gpu(monkeypatch):
    """A machine whose PyTorch says that it sees a GPU, one that emulates bfloat16 or has it."""

    def pretend(native_bfloat16=True):
        monkeypatch.setenv("COURSE_PROFILE", "gpu")
        monkeypatch.delenv("COURSE_WEIGHTS", raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True: native_bfloat16 or including_emulation,
        )

    pretend()
    return pretend


@pytest.mark.parametrize(("weights", "encoder"), [("packaged", "minilm"), ("", "bert")])
def test_the_gpu_profile_takes_the_packaged_weights_when_asked(gpu, monkeypatch, weights, encoder):
    monkeypatch.setenv("COURSE_WEIGHTS", weights)
    assert current_profile().encoder == encoder


@pytest.mark.parametrize("weights", ["packaged", ""])
def test_only_a_profile_that_uses_the_hub_names_checkpoints_of_the_hub(gpu, monkeypatch, weights):
    monkeypatch.setenv("COURSE_WEIGHTS", weights)
    profile = current_profile()
    roles = {profile.encoder, profile.decoder, profile.larger_decoder, profile.translator} - {None}
    from_hub = {role for role in roles if CHECKPOINTS[role].repository}
    assert from_hub == (set() if weights else {"bert", "smollm2-1.7b", "t5"})


def test_the_cpu_profile_needs_no_hub():
    profile = current_profile()
    assert profile.larger_decoder is profile.translator is None
    assert not any(CHECKPOINTS[role].repository for role in (profile.encoder, profile.decoder))


def test_the_gpu_profile_takes_larger_batches_of_all_reviews(gpu, monkeypatch):
    large = current_profile()
    monkeypatch.setenv("COURSE_PROFILE", "cpu")
    current_profile.cache_clear()
    small = current_profile()
    assert large.batch_size > small.batch_size
    assert large.frozen_examples == large.trainer_examples == len(load_reviews()["train"])


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_that_only_emulates_bfloat16_computes_in_float32(gpu, native):
    gpu(native_bfloat16=native)
    assert current_profile().autocast == native


def test_the_profile_says_what_it_is():
    assert "minilm on cpu" in str(current_profile())
