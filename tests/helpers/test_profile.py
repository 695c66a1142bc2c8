import pytest
import torch

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


@pytest.mark.parametrize(("weights", "encoder"), [("packaged", "minilm"), ("", "bert")])
def test_the_gpu_profile_takes_the_packaged_weights_when_asked(monkeypatch, weights, encoder):
    monkeypatch.setenv("COURSE_PROFILE", "gpu")
    monkeypatch.setenv("COURSE_WEIGHTS", weights)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert current_profile().encoder == encoder


def test_the_profile_says_what_it_is():
    assert "minilm on cpu" in str(current_profile())
