"""What this machine is asked to carry: the `cpu` profile (default) or the `gpu` profile."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

import torch

ENVIRONMENT_VARIABLE = "COURSE_PROFILE"
WEIGHTS_VARIABLE = "COURSE_WEIGHTS"


@dataclass(frozen=True)
class Profile:
    """The choices that differ between machines. Notebooks ask a profile; they never branch on its name."""

    name: str
    encoder: str
    """Role of the encoder checkpoint, a key of `helpers.materials.checkpoints.CHECKPOINTS`."""
    decoder: str
    """Role of the decoder checkpoint."""
    larger_decoder: str | None
    """Role of a decoder on the Hub that knows more; None where the profile does without the Hub."""
    translator: str | None
    """Role of an encoder-decoder on the Hub that translates and summarises; None as above."""
    device: torch.device
    autocast: bool
    """Whether training computes in bfloat16 where that is safe (weights stay float32)."""
    batch_size: int
    """Examples in one training batch."""
    epochs: int
    """Passes over the training reviews in the full fine-tuning run."""
    learning_rate: float
    """Peak learning rate of the encoder in the full fine-tuning run."""
    head_learning_rate: float
    """Peak learning rate of the classification head, which starts from random weights."""
    frozen_examples: int
    """How many training reviews the frozen-encoder baseline sees."""
    trainer_examples: int
    """How many training reviews the demonstration of `Trainer` sees."""
    compile_from: int | None
    """Steps of training from which `torch.compile` repays its first minute; None where it never does."""

    def __str__(self) -> str:
        precision = "bfloat16 autocast" if self.autocast else "float32"
        return (
            f"profile {self.name}: {self.encoder} on {self.device}, {precision}, "
            f"batch size {self.batch_size}, {torch.get_num_threads()} CPU threads"
        )


def _has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware (Intel AMX or AVX-512 BF16)."""
    capabilities = torch.backends.cpu.get_cpu_capability()
    return "AVX512" in capabilities and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _cpu() -> Profile:
    return Profile(
        name="cpu",
        encoder="minilm",
        decoder="smollm2",
        larger_decoder=None,
        translator=None,
        device=torch.device("cpu"),
        autocast=_has_fast_bfloat16(),
        batch_size=32,
        epochs=2,
        learning_rate=1e-4,
        head_learning_rate=1e-3,
        frozen_examples=3_000,
        trainer_examples=800,
        compile_from=None,
    )


def _packaged() -> bool:
    """Whether `COURSE_WEIGHTS` asks for the weights that come with pip, on the GPU, too."""
    weights = os.environ.get(WEIGHTS_VARIABLE, "")
    if weights not in ("", "packaged"):
        raise ValueError(
            f"{WEIGHTS_VARIABLE}={weights!r} is not known. Set it to 'packaged' for the weights that come with "
            "pip, or unset it: then the gpu profile fetches larger ones from the Hugging Face Hub."
        )
    return weights == "packaged"


def _gpu() -> Profile:
    if not torch.cuda.is_available():
        raise RuntimeError(
            f"{ENVIRONMENT_VARIABLE}=gpu, but PyTorch sees no CUDA GPU here. "
            f"Unset {ENVIRONMENT_VARIABLE} (make test, not make test-gpu) to run on the CPU, or in Colab "
            "choose Runtime > Change runtime type > GPU and restart."
        )
    packaged = _packaged()
    return Profile(
        name="gpu",
        encoder="minilm" if packaged else "bert",
        decoder="smollm2",
        larger_decoder=None if packaged else "smollm2-1.7b",
        translator=None if packaged else "t5",
        device=torch.device("cuda"),
        autocast=torch.cuda.is_bf16_supported(including_emulation=False),
        batch_size=64,
        epochs=3,
        learning_rate=2e-4 if packaged else 3e-5,
        head_learning_rate=1e-3,
        frozen_examples=8_062,
        trainer_examples=8_062,
        compile_from=2_000,
    )


PROFILES = {"cpu": _cpu, "gpu": _gpu}


@cache
def current_profile() -> Profile:
    """The profile that `COURSE_PROFILE` names, with the weights that `COURSE_WEIGHTS` names, read once.

    Raises:
        ValueError: one of the names is unknown.
        RuntimeError: `gpu` on a machine without one.
    """
    name = os.environ.get(ENVIRONMENT_VARIABLE, "cpu")
    if name not in PROFILES:
        raise ValueError(
            f"{ENVIRONMENT_VARIABLE}={name!r} is not a profile. Use one of {', '.join(map(repr, PROFILES))}."
        )
    _packaged()
    return PROFILES[name]()
