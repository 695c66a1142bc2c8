"""The cells that ask a model of the Hub, run on tiny models of the same classes with random weights."""

import ast
import math
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from helpers.materials import checkpoints
from helpers.materials.checkpoints import CHECKPOINTS
from helpers.tokens import check_text
from helpers.training.batches import length_bucketed_batches

APPLICATIONS = Path(__file__).parents[2] / "chapters" / "10_applications"
WORDS = [
    "translate",
    "English",
    "to",
    "French",
    ":",
    "the",
    "bus",
    "leaves",
    ".",
    "Who",
    "wrote",
    "it",
    "?",
    "Nobody",
    "knows",
    "Summarize",
    "this",
    "text",
    "in",
    "two",
]
CHAT = "{% for m in messages %}{{ m['content'] }} {% endfor %}"


def save_tokenizer(folder: Path) -> int:
    names = ["<pad>", "</s>", "<unk>", *dict.fromkeys(WORDS)]
    words = Tokenizer(models.WordLevel({name: row for row, name in enumerate(names)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=words, chat_template=CHAT, **special).save_pretrained(folder)
    return len(names)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Folders in the place of those that the Hub would fill; counts who asks for what."""
    torch.manual_seed(0)
    asked = []
    size = save_tokenizer(tmp_path / "t5")
    config = {"vocab_size": size, "num_layers": 1, "num_heads": 2, "d_model": 16, "d_kv": 8, "d_ff": 32}
    T5ForConditionalGeneration(
        T5Config(**config, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
    ).save_pretrained(tmp_path / "t5")
    save_tokenizer(tmp_path / "smollm2-1.7b")
    config = {"vocab_size": size, "num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 32}
    LlamaForCausalLM(
        LlamaConfig(**config, num_attention_heads=2, pad_token_id=0, eos_token_id=1, bos_token_id=1)
    ).save_pretrained(tmp_path / "smollm2-1.7b")

    def folder(role: str) -> Path:
        asked.append(role)
        return tmp_path / role

    monkeypatch.setattr(checkpoints, "checkpoint_folder", folder)
    return SimpleNamespace(folder=folder, asked=asked)


def cells(chapter: str) -> dict[str, str]:
    notebook = nbformat.read(APPLICATIONS / f"{chapter}.ipynb", as_version=4)
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}


def with_functions(chapter: str, names: set[str], namespace: dict) -> dict:
    """The namespace with those functions and constants that the chapter's cells define."""
    found = set()
    for source in cells(chapter).values():
        for node in ast.parse(source).body if "%pip" not in source else []:
            own = {node.name} if isinstance(node, ast.FunctionDef) else set()
            if isinstance(node, ast.Assign):
                own = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if isinstance(node, ast.ImportFrom | ast.Import) or own & names:
                exec(compile(ast.Module([node], []), chapter, "exec"), namespace)
                found |= own & names
    assert found == names
    return namespace


def profile(**roles: str | None) -> SimpleNamespace:
    return SimpleNamespace(device=torch.device("cpu"), **{"translator": None, "larger_decoder": None} | roles)


class Ours:
    """The chapter's own model, which says something else."""


def test_translate_takes_the_published_translator(hub):
    names = {"translate", "ask_published"}
    space = with_functions("translation", names, {"check_text": check_text, "math": math, "pd": pd})
    space |= {"profile": profile(translator="t5"), "outside": {"day first": [("the bus", "")]}}
    space |= {"length_bucketed_batches": length_bucketed_batches, "model": Ours, "tokenizer": Ours}
    exec(cells("translation")["published"], space)
    assert hub.asked == ["t5"]
    assert len(space["written"]) == len(space["everyday"]) == 3
    assert all(isinstance(text, str) for text in space["written"])


def test_without_the_hub_the_chapters_say_what_they_would_fetch(hub, capsys):
    for chapter, cell, role in (
        ("translation", "published", "t5"),
        ("generation", "larger", "smollm2-1.7b"),
        ("summarization", "larger", "smollm2-1.7b"),
    ):
        space = {"profile": profile(), "outside": {"day first": [("the bus", "")]}, "pd": pd}
        space |= {"translate": lambda *arguments, **options: ["", "", ""], "model": Ours, "tokenizer": Ours}
        exec(cells(chapter)[cell], space)
        said = capsys.readouterr().out
        assert CHECKPOINTS[role].repository in said
        assert CHECKPOINTS[role].revision[:7] in said
    assert hub.asked == []


def test_the_quiz_is_given_to_the_larger_decoder(hub, capsys):
    names = {"ask", "is_right", "is_modest", "chat_of", "SYSTEM"}
    space = with_functions("generation", names, {"np": np, "torch": torch})
    rows = [{"question": f"{word} it ?", "accepted": ["bus"], "real": word != "knows"} for word in WORDS[:6]]
    rows += [{"question": "Who wrote it ?", "accepted": ["bus"], "real": False}]
    space |= {
        "profile": profile(larger_decoder="smollm2-1.7b"),
        "quiz": rows,
        "model": Ours,
        "tokenizer": Ours,
    }
    space["checkpoint_folder"] = hub.folder
    exec(cells("generation")["larger"], space)
    assert hub.asked == ["smollm2-1.7b"]
    assert "real questions right: " in capsys.readouterr().out
    assert space["model"] is space["tokenizer"] is Ours


def test_the_larger_decoder_writes_summaries(hub):
    names = {"write", "chat", "tidy", "ASK"}
    space = with_functions("summarization", names, {"np": np, "torch": torch})
    shown = []
    texts = ["the bus leaves .", "Nobody knows this text ."]
    space |= {
        "profile": profile(larger_decoder="smollm2-1.7b"),
        "checkpoint_folder": hub.folder,
        "writer": Ours,
        "writer_tokenizer": Ours,
        "texts": texts,
        "passages": texts,
        "market": texts[1],
        "BUDGET": 2,
        "split_sentences": lambda text: [text],
        "score_all": lambda rows: np.ones((len(rows), 3)),
        "scores": {"SmolLM2": np.zeros((2, 3))},
        "show": lambda text, label: shown.append((text, label)),
        "AutoTokenizer": AutoTokenizer,
        "AutoModelForCausalLM": AutoModelForCausalLM,
    }
    exec(cells("summarization")["larger"], space)
    assert hub.asked == ["smollm2-1.7b"]
    [(text, label)] = shown
    assert text == space["by_larger"][1]
    assert "+1.000" in label
    assert space["writer"] is space["writer_tokenizer"] is Ours
