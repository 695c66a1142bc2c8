"""The small encoder and the reviews, loaded once for all tests, whatever the shell has set."""

import pytest
import torch
from huggingface_hub import close_session, constants
from transformers import AutoModel, AutoTokenizer

from helpers.materials.checkpoints import checkpoint_folder
from helpers.materials.reviews import load_reviews
from helpers.quiet import quiet

quiet()

SETTINGS = ("COURSE_PROFILE", "COURSE_WEIGHTS", "COURSE_WHEELS")
HUB = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_DISABLE_XET")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """Tests start without the settings, proxies and switches of the shell that runs them."""
    for name in (*SETTINGS, *HUB, *PROXIES, *map(str.lower, PROXIES)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)  # the library reads it when it is imported
    close_session()  # a client that was made before has the proxies of before


@pytest.fixture(scope="session")
def tokenizer():
    return AutoTokenizer.from_pretrained(checkpoint_folder("minilm"))


@pytest.fixture(scope="session")
def eager_model():
    folder = checkpoint_folder("minilm")
    return AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


@pytest.fixture(scope="session")
def reviews():
    return load_reviews()
