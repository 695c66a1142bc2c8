"""The transformer as chapter 4 defines it.

The letters are those of Vaswani et al., "Attention Is All You Need" (2017): B texts of n tokens, d_model
features, h heads of d_k = d_model / h features. Each function is held against Transformers and PyTorch,
as are the chapter's own cells, in `tests/helpers/test_transformer.py`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import BertModel
from transformers.activations import GELUActivation
from transformers.models.bert.modeling_bert import BertLayer


def attention(Q: Tensor, K: Tensor, V: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention, softmax(QKᵀ/√d_k)V, and its weights.

    Args:
        Q: shape (…, n_q, d_k).
        K: shape (…, n_k, d_k).
        V: shape (…, n_k, d_v).
        mask: broadcast to (…, n_q, n_k), True where a query may look. A row with nothing open gives nan.

    Returns:
        Output, shape (…, n_q, d_v), and weights, shape (…, n_q, n_k), whose rows sum to 1.
    """
    scores = Q @ K.transpose(-2, -1) / math.sqrt(Q.shape[-1])  # (…, n_q, n_k)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = scores.softmax(dim=-1)
    return weights @ V, weights


def split_heads(X: Tensor, h: int) -> Tensor:
    """Each head its own slice of the features: (B, n, d_model) to (B, h, n, d_k)."""
    B, n, d = X.shape
    return X.view(B, n, h, d // h).transpose(1, 2)


def multi_head_attention(
    X: Tensor, W: dict[str, Tensor], h: int, mask: Tensor | None = None, context: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """h heads side by side, joined and mixed by W_O.

    Args:
        X: shape (B, n_q, d_model).
        W: see `block_weights`.
        mask: broadcast to (B, h, n_q, n_k), True where a query may look.
        context: shape (B, n_k, d_model), what keys and values are made of; None: X itself.

    Returns:
        Output, shape (B, n_q, d_model), and weights, shape (B, h, n_q, n_k).
    """
    context = X if context is None else context
    sources = {"Q": X, "K": context, "V": context}
    Q, K, V = (
        split_heads(source @ W[f"W_{letter}"] + W[f"b_{letter}"], h) for letter, source in sources.items()
    )
    heads, weights = attention(Q, K, V, mask)  # (B, h, n_q, d_k), (B, h, n_q, n_k)
    joined = heads.transpose(1, 2).flatten(start_dim=2)  # (B, n_q, d_model)
    return joined @ W["W_O"] + W["b_O"], weights


def layer_norm(X: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-12) -> Tensor:
    """Each vector of X, shape (…, d), to mean 0 and variance 1, then scaled and shifted (Ba et al., 2016)."""
    mean = X.mean(dim=-1, keepdim=True)
    variance = X.var(dim=-1, keepdim=True, unbiased=False)
    return gamma * (X - mean) / torch.sqrt(variance + eps) + beta


def gelu(X: Tensor) -> Tensor:
    """X times the share of a standard normal below it (Hendrycks and Gimpel, 2016)."""
    return X * 0.5 * (1 + torch.erf(X / math.sqrt(2)))


def feed_forward(X: Tensor, W: dict[str, Tensor]) -> Tensor:
    """Two layers with GELU between them, on each token by itself: (…, d_model) to the same shape."""
    return gelu(X @ W["W_1"] + W["b_1"]) @ W["W_2"] + W["b_2"]


def encoder_block(
    X: Tensor, W: dict[str, Tensor], h: int, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One block of BERT: attention and feed-forward, each with residual and LayerNorm after it.

    Args:
        X: shape (B, n, d_model).
        W: see `block_weights`.
        mask: broadcast to (B, h, n, n), True where a query may look.

    Returns:
        The next states, shape (B, n, d_model), and the weights, shape (B, h, n, n).
    """
    attended, weights = multi_head_attention(X, W, h, mask)
    X = layer_norm(X + attended, W["gamma_1"], W["beta_1"])
    X = layer_norm(X + feed_forward(X, W), W["gamma_2"], W["beta_2"])
    return X, weights


def block_weights(layer: BertLayer) -> dict[str, Tensor]:
    """The weights of one `BertLayer` under the paper's names; matrices as (in, out).

    Raises:
        TypeError, ValueError: a layer that computes something else than `encoder_block`.
    """
    if not isinstance(layer, BertLayer):
        raise TypeError(f"A BertLayer is due here, but a {type(layer).__name__} came. Pass a BertModel's.")
    activation, eps = layer.intermediate.intermediate_act_fn, layer.output.LayerNorm.eps
    if not isinstance(activation, GELUActivation) or eps != 1e-12 or layer.add_cross_attention:
        raise ValueError(
            "encoder_block has GELU, an eps of 1e-12 and no cross-attention, but this layer has "
            f"{type(activation).__name__}, {eps} and add_cross_attention={layer.add_cross_attention}."
        )
    attend, after = layer.attention.self, layer.attention.output
    linear = {"Q": attend.query, "K": attend.key, "V": attend.value, "O": after.dense}
    linear |= {"1": layer.intermediate.dense, "2": layer.output.dense}
    norms = {"1": after.LayerNorm, "2": layer.output.LayerNorm}
    W = {f"W_{name}": part.weight.T for name, part in linear.items()}
    W |= {f"b_{name}": part.bias for name, part in linear.items()}
    W |= {f"gamma_{name}": norm.weight for name, norm in norms.items()}
    W |= {f"beta_{name}": norm.bias for name, norm in norms.items()}
    return W


def bert_weights(model: BertModel) -> dict:
    """All weights of a `BertModel`, as chapter 4's `bert` takes them.

    A decoder (`is_decoder=True`) has the same ones; its mask is the caller's to pass.

    Raises:
        TypeError: another model, such as RoBERTa, which counts its positions otherwise.
        ValueError: no pooler (`add_pooling_layer=False`), or see `block_weights`.
    """
    if not isinstance(model, BertModel):
        raise TypeError(
            f"A BertModel is due here, but a {type(model).__name__} came. Of a BERT with a head, pass model.bert."
        )
    if model.pooler is None:
        raise ValueError("The model has no pooler. Load it with add_pooling_layer=True, as is the default.")
    E = model.embeddings
    return {
        "word": E.word_embeddings.weight,  # (vocabulary, d_model)
        "position": E.position_embeddings.weight,  # (512, d_model)
        "type": E.token_type_embeddings.weight,  # (2, d_model)
        "gamma": E.LayerNorm.weight,
        "beta": E.LayerNorm.bias,
        "blocks": [block_weights(layer) for layer in model.encoder.layer],
        "W_pool": model.pooler.dense.weight.T,
        "b_pool": model.pooler.dense.bias,
    }
