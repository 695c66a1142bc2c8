"""The small encoder and the reviews, loaded once for all tests."""

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from helpers.checkpoints import checkpoint_folder
from helpers.quiet import quiet
from helpers.reviews import load_reviews

quiet()


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
