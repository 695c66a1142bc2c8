"""Attention as chapter 4 writes it and as helpers keep it: both equal the library, both obey the laws."""

import ast
import math
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import helpers.transformer

CHAPTER = Path(__file__).parents[2] / "chapters" / "04_attention.ipynb"
SHARED = [
    "attention", "split_heads", "multi_head_attention", "layer_norm", "gelu", "feed_forward", "encoder_block",
    "block_weights", "bert_weights",
]  # fmt: skip
NAMES = [*SHARED, "bert", "sinusoidal"]


def from_chapter(given):
    """The functions that the chapter defines, compiled from its cells; `given` stand in for its own."""
    cells = [cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells if cell.cell_type == "code"]
    namespace = {"math": math, "torch": torch, "F": F, "Tensor": Tensor, "nn": nn} | given
    for source in cells:
        if not source.startswith("import sys"):
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef) and node.name in set(NAMES) - set(given):
                    exec(compile(ast.Module([node], []), f"{CHAPTER.name}:{node.name}", "exec"), namespace)
    return SimpleNamespace(**{name: namespace[name] for name in NAMES})


OF_HELPERS = {name: getattr(helpers.transformer, name) for name in SHARED}
SOURCES = {"chapter": from_chapter({}), "helpers": from_chapter(OF_HELPERS)}


@pytest.fixture(params=SOURCES)
def taught(request):
    return SOURCES[request.param]


@pytest.fixture(scope="module")
def batch(tokenizer, reviews):
    return tokenizer(reviews["train"]["text"][:6], padding=True, return_tensors="pt")


shapes = given(
    seed=st.integers(0, 1000), n=st.integers(1, 9), m=st.integers(1, 9), d=st.sampled_from([1, 4, 16])
)
few = settings(max_examples=25, deadline=None)


def both(law):
    """A property, checked for the chapter's functions and for those in helpers."""
    return pytest.mark.parametrize("source", SOURCES)(few(shapes(law)))


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@both
def test_rows_sum_to_one_and_the_output_equals_torchs_own_function(source, seed, n, m, d):
    Q, K, V = drawn(seed, 2, n, d), drawn(seed + 1, 2, m, d), drawn(seed + 2, 2, m, d)
    mask = drawn(seed + 3, n, m) > 0
    mask[:, 0] = True
    for given_mask in (None, mask):
        output, weights = SOURCES[source].attention(Q, K, V, given_mask)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, n))
        expected = F.scaled_dot_product_attention(Q, K, V, attn_mask=given_mask)
        torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    assert (weights[:, ~mask] == 0).all()


@both
def test_permuting_keys_and_values_together_changes_nothing(source, seed, n, m, d):
    Q, K, V = drawn(seed, n, d), drawn(seed + 1, m, d), drawn(seed + 2, m, d)
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    original, _ = SOURCES[source].attention(Q, K, V)
    permuted, _ = SOURCES[source].attention(Q, K[order], V[order])
    torch.testing.assert_close(permuted, original, rtol=1e-5, atol=1e-5)


def random_block(seed, d_model=8, d_ff=16):
    sizes = {
        "Q": (d_model, d_model),
        "K": (d_model, d_model),
        "V": (d_model, d_model),
        "O": (d_model, d_model),
    }
    sizes |= {"1": (d_model, d_ff), "2": (d_ff, d_model)}
    W = {f"W_{name}": drawn(seed + i, *size) / 3 for i, (name, size) in enumerate(sizes.items())}
    W |= {f"b_{name}": drawn(seed + 10 + i, size[1]) for i, (name, size) in enumerate(sizes.items())}
    return W | {
        f"{name}_{i}": 1 + 0.1 * drawn(seed + i, d_model) for name in ("gamma", "beta") for i in (1, 2)
    }


@both
def test_a_causal_mask_leaks_nothing(source, seed, n, m, d):
    W, X = random_block(seed), drawn(seed, 1, n + 1, 8)
    changed = X.clone()
    changed[:, -1] += drawn(seed + 1, 8)
    causal = torch.ones(n + 1, n + 1, dtype=torch.bool).tril()
    before, _ = SOURCES[source].encoder_block(X, W, 2, causal)
    after, _ = SOURCES[source].encoder_block(changed, W, 2, causal)
    torch.testing.assert_close(after[:, :-1], before[:, :-1], rtol=1e-6, atol=1e-6)
    assert not torch.allclose(after[:, -1], before[:, -1])


@both
def test_without_positions_a_block_is_permutation_equivariant(source, seed, n, m, d):
    W, X = random_block(seed), drawn(seed, 1, n, 8)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    straight, _ = SOURCES[source].encoder_block(X, W, 2)
    shuffled, _ = SOURCES[source].encoder_block(X[:, order], W, 2)
    torch.testing.assert_close(shuffled, straight[:, order], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_whole_encoder_equals_the_librarys_on_a_padded_batch(taught, eager_model, batch):
    states, attentions, pooled = taught.bert(taught.bert_weights(eager_model), 12, **batch)
    expected = eager_model(**batch, output_hidden_states=True, output_attentions=True)
    real = batch["attention_mask"].bool()
    assert not real.all()
    assert len(states) == len(expected.hidden_states) == 7
    for ours, theirs in zip(states, expected.hidden_states, strict=True):
        torch.testing.assert_close(ours[real], theirs[real], rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(attentions, expected.attentions, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(pooled, expected.pooler_output, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_padding_more_changes_nothing_at_real_positions(taught, eager_model, batch):
    W = taught.bert_weights(eager_model)
    real = batch["attention_mask"].bool()
    wider = {name: F.pad(values, (0, 13)) for name, values in batch.items()}
    narrow, wide = taught.bert(W, 12, **batch)[0][-1], taught.bert(W, 12, **wider)[0][-1]
    torch.testing.assert_close(wide[:, : real.shape[1]][real], narrow[real], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_without_positions_the_encoder_is_permutation_equivariant(taught, eager_model, batch):
    W = taught.bert_weights(eager_model)
    W["position"] = torch.zeros_like(W["position"])
    order = torch.randperm(batch["input_ids"].shape[1], generator=torch.Generator().manual_seed(0))
    straight = taught.bert(W, 12, **batch)[0][-1]
    shuffled = taught.bert(W, 12, **{name: values[:, order] for name, values in batch.items()})[0][-1]
    torch.testing.assert_close(shuffled, straight[:, order], rtol=1e-4, atol=1e-4)


def test_the_parts_equal_torchs(taught):
    X, gamma, beta = drawn(0, 3, 5, 8), drawn(1, 8), drawn(2, 8)
    torch.testing.assert_close(taught.layer_norm(X, gamma, beta), F.layer_norm(X, (8,), gamma, beta, 1e-12))
    torch.testing.assert_close(taught.gelu(X), F.gelu(X))


def test_each_position_code_is_turned_by_its_distance_alone():
    code = SOURCES["chapter"].sinusoidal(60, 16)
    products = code @ code.T
    for distance in (1, 7, 30):
        along = products.diagonal(distance)
        torch.testing.assert_close(along, along[0].expand_as(along), rtol=1e-4, atol=1e-4)


def test_cross_attention_equals_torchs_module():
    torch.manual_seed(0)
    module = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    names = zip("QKV", module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True)
    W = {"W_O": module.out_proj.weight.T, "b_O": module.out_proj.bias}
    for letter, weight, bias in names:
        W |= {f"W_{letter}": weight.T, f"b_{letter}": bias}
    X, context = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    output, weights = helpers.transformer.multi_head_attention(X, W, 2, context=context)
    expected, expected_weights = module(X, context, context, average_attn_weights=False)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights, expected_weights, rtol=1e-5, atol=1e-6)
