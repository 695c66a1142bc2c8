import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from helpers.training.dropout import ByteDropout, byte_attention, byte_dropout, drop


@given(st.floats(0, 0.99), st.integers(0, 3))
def test_it_zeroes_its_share_and_keeps_the_mean(p, seed):
    torch.manual_seed(seed)
    n = 200_003
    y = ByteDropout(p)(torch.ones(n))
    share = round(256 * p) / 256
    assert (y == 0).float().mean().item() == pytest.approx(share, abs=5 * math.sqrt(0.25 / n))
    kept = y[y != 0]
    assert torch.allclose(kept, torch.full_like(kept, 1 / (1 - share)))


def test_each_byte_of_a_draw_is_as_likely_to_be_dropped_as_any_other():
    torch.manual_seed(0)
    zeros = (ByteDropout(0.25)(torch.ones(100_000, 8)) == 0).float().mean(0)
    torch.testing.assert_close(zeros, torch.full((8,), 0.25), atol=0.01, rtol=0)


def test_neighbours_are_dropped_independently():
    torch.manual_seed(0)
    zero = (ByteDropout(0.5)(torch.ones(80_000)) == 0).float()
    for lag in (1, 2, 7, 8, 9):
        together = (zero[lag:] * zero[:-lag]).mean().item()
        assert together == pytest.approx(0.25, abs=0.01), lag


def test_the_gradient_goes_where_the_numbers_went():
    x = torch.randn(4, 5, 6, dtype=torch.bfloat16, requires_grad=True)
    y = ByteDropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad == 0, y == 0)
    assert y.dtype == torch.bfloat16


def test_the_same_seed_drops_the_same_numbers():
    outputs = []
    for _ in range(2):
        torch.manual_seed(3)
        outputs.append(ByteDropout(0.3)(torch.ones(50)))
    assert torch.equal(*outputs)


def test_in_evaluation_mode_and_at_zero_nothing_changes():
    x = torch.randn(9)
    assert ByteDropout(0.5).eval()(x) is x
    assert ByteDropout(0.0)(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, 2])
def test_a_share_that_is_none_is_refused(p):
    with pytest.raises(ValueError, match=f"not {p}"):
        drop(torch.ones(3), p)


@pytest.fixture
def model():
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(vocab_size=50, **sizes))
    model.set_attn_implementation("sdpa")
    return model


def batch():
    mask = torch.tensor([[1] * 9, [1] * 4 + [0] * 5])
    return {"input_ids": torch.arange(18).view(2, 9), "attention_mask": mask}


def test_without_dropping_the_attention_equals_the_librarys_on_a_padded_batch(model):
    expected = model.eval()(**batch()).logits
    with byte_dropout(model):
        torch.testing.assert_close(model(**batch()).logits, expected, atol=1e-6, rtol=1e-5)


def test_in_training_a_share_of_the_attention_weights_is_dropped():
    torch.manual_seed(0)
    q = torch.zeros(4, 2, 30, 8)
    _, weights = byte_attention(torch.nn.Identity(), q, q, q, None, dropout=0.25)
    assert (weights == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    kept = weights[weights != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / 30 / 0.75))


def test_a_model_has_its_own_dropout_and_attention_back_after_the_block(model):
    own = [type(module) for module in model.modules()]
    with byte_dropout(model.train()):
        assert not [module for module in model.modules() if type(module) is nn.Dropout]
        assert {module.p for module in model.modules() if isinstance(module, ByteDropout)} == {0.1}
        assert not torch.equal(model(**batch()).logits, model(**batch()).logits)
        model.eval()
    assert [type(module) for module in model.modules()] == own
    assert model.config._attn_implementation == "sdpa"
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("own", ["sdpa", "eager"])
def test_only_pytorchs_own_attention_is_replaced(model, own):
    model.set_attn_implementation(own)
    with byte_dropout(model):
        assert (model.config._attn_implementation == own) == (own == "eager")
    assert model.config._attn_implementation == own


def test_keys_and_values_of_fewer_heads_serve_a_group_of_the_queries_each():
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, heads, 5, 8) for heads in (4, 2, 2))
    ours, _ = byte_attention(torch.nn.Identity(), query, key, value, None)
    library = torch.nn.functional.scaled_dot_product_attention(query, key, value, enable_gqa=True)
    torch.testing.assert_close(ours, library.transpose(1, 2))
