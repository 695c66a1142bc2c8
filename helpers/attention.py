"""Attention as chapter 4 defines it, and the attention weights that a model computed for a text.

The letters are those of Vaswani et al., "Attention Is All You Need" (2017): B texts of n tokens, d_model
features, h heads of d_k = d_model / h features. Each function is held against Transformers and PyTorch,
and against the chapter's own cells, in `tests/helpers/test_attention.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import BatchEncoding, BertModel, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.bert.modeling_bert import BertLayer

from helpers.tokens import encode


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
    """The weights of one `BertLayer` under the paper's names; matrices as (in, out)."""
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
    """All weights of a `BertModel`, as `bert` takes them.

    Raises:
        ValueError: the model was made with `add_pooling_layer=False`.
    """
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


def bert(
    W: dict, h: int, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """A whole BERT encoder; the three tensors have shape (B, n).

    Returns:
        States: embeddings and the output of each block, each (B, n, d_model). Attention weights of each
        block, each (B, h, n, n). The pooled vector of [CLS], shape (B, d_model).
    """
    X = W["word"][input_ids] + W["position"][: input_ids.shape[1]] + W["type"][token_type_ids]
    X = layer_norm(X, W["gamma"], W["beta"])  # (B, n, d_model)
    mask = attention_mask.bool()[:, None, None, :]  # (B, 1, 1, n): the same for all heads and queries
    states, attentions = [X], []
    for block in W["blocks"]:
        X, weights = encoder_block(X, block, h, mask)
        states.append(X)
        attentions.append(weights)
    pooled = torch.tanh(X[:, 0] @ W["W_pool"] + W["b_pool"])  # (B, d_model)
    return states, attentions, pooled


def sinusoidal(length: int, d: int) -> Tensor:
    """The position code of the 2017 paper, shape (length, d): sine and cosine of d/2 frequencies."""
    position = torch.arange(length)[:, None]  # (length, 1)
    frequency = 10_000.0 ** (-torch.arange(0, d, 2) / d)  # (d/2,)
    angle = position * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(start_dim=1)


@dataclass(frozen=True)
class Attention:
    """Attention weights of one text or pair; rows are queries (tokens that look), columns keys."""

    tokens: list[str]
    """The n_k keys."""
    token_type_ids: list[int]
    """Which text each key belongs to: 0, or 1 for the second of a pair."""
    weights: Tensor
    """Shape (layers, heads, n_q, n_k), float32, on the CPU; each row sums to 1."""
    attention_mask: list[int] | None = None
    """1 for each real key, 0 for padding; None: all are real."""
    word_ids: list[int | None] | None = None
    """Number of the word that each key is a piece of; None for a token of its own."""
    query_tokens: list[str] | None = None
    """The n_q queries where they are another sequence (cross-attention); None: the keys."""
    queries: Tensor | None = None
    """Shape (layers, heads, n_q, d_k), where they were asked for."""
    keys: Tensor | None = None
    """Shape (layers, heads, n_k, d_k), where they were asked for."""

    def __post_init__(self) -> None:
        n_k, n_q = len(self.tokens), len(self.query_tokens or self.tokens)
        if self.weights.ndim != 4 or self.weights.shape[2:] != (n_q, n_k):
            raise ValueError(
                f"{n_q} queries and {n_k} keys need weights of shape (layers, heads, {n_q}, {n_k}), "
                f"not {tuple(self.weights.shape)}."
            )
        for name in ("token_type_ids", "attention_mask", "word_ids"):
            values = getattr(self, name)
            if values is not None and len(values) != n_k:
                raise ValueError(f"{name} has {len(values)} entries for {n_k} tokens.")


def attentions_of_batch(
    attentions: Sequence[Tensor] | None,
    encoding: BatchEncoding,
    queries: Sequence[Tensor] | None = None,
    keys: Sequence[Tensor] | None = None,
) -> list[Attention]:
    """What a model returned for a padded batch, as one record a text, padding and mask included.

    Args:
        attentions: the model's `attentions`: for each layer a tensor (B, heads, n, n).
        encoding: what the tokenizer made of the B texts.
        queries, keys: for each layer a tensor (B, heads, n, d_k); see `captured_queries_and_keys`.

    Raises:
        ValueError: no attention was returned, or the shapes disagree with the encoding.
    """
    if not attentions or any(layer is None for layer in attentions):
        raise ValueError(
            "The model returned no attention weights. Load it with "
            'attn_implementation="eager" and call it with output_attentions=True.'
        )
    texts = encoding.encodings or []
    rows = len(texts)
    if attentions[0].shape[0] != rows:
        raise ValueError(
            f"The attentions are of {attentions[0].shape[0]} texts, the encoding is of {rows}. "
            "Pass the encoding that the model was given."
        )

    def stacked(layers: Sequence[Tensor] | None, row: int) -> Tensor | None:
        return (
            None if layers is None else torch.stack([layer[row].detach().float().cpu() for layer in layers])
        )

    return [
        Attention(
            tokens=encoding.tokens(row),
            token_type_ids=list(texts[row].type_ids),
            weights=torch.stack([layer[row].detach().float().cpu() for layer in attentions]),
            attention_mask=list(texts[row].attention_mask),
            word_ids=encoding.word_ids(row),
            queries=stacked(queries, row),
            keys=stacked(keys, row),
        )
        for row in range(rows)
    ]


@contextmanager
def captured_queries_and_keys(model: PreTrainedModel) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Two lists that the next forward pass of a BERT model fills: queries and keys of each layer.

    Each entry has shape (B, heads, n, d_k); forward hooks on `query` and `key` write it.

    Raises:
        ValueError: the model has no BERT layers.
    """
    encoder = getattr(getattr(model, model.base_model_prefix, model), "encoder", None)
    layers = getattr(encoder, "layer", None)
    if layers is None:
        raise ValueError(
            f"Queries and keys are captured from BERT's layers, but this is a {type(model).__name__}."
        )
    queries: list[Tensor] = []
    keys: list[Tensor] = []
    hooks = []
    for layer in layers:
        attend = layer.attention.self
        for part, kept in ((attend.query, queries), (attend.key, keys)):
            hooks.append(
                part.register_forward_hook(
                    lambda module, given, output, kept=kept, h=attend.num_attention_heads: kept.append(
                        split_heads(output, h)
                    )
                )
            )
    try:
        yield queries, keys
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def attention_weights(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    pair: str | None = None,
    queries_and_keys: bool = False,
) -> Attention:
    """Runs `model` on a text, or a pair, and returns every layer's attention weights.

    Args:
        queries_and_keys: keep these vectors too (BERT models).

    Raises:
        TypeError, ValueError: unusable text, see `helpers.tokens.encode`.
        ValueError: the model was not loaded with `attn_implementation="eager"`. Other implementations
            never form the weights, and the library then returns an empty tuple without a word.
        RuntimeError: the model returned another number of layers than it has.
    """
    implementation = model.config._attn_implementation
    if implementation != "eager":
        raise ValueError(
            f"The model was loaded with attn_implementation={implementation!r}, which does not keep attention "
            'weights. Load it with attn_implementation="eager".'
        )
    encode(tokenizer, text, pair, max_length=model.config.max_position_embeddings)
    encoding = tokenizer([text], None if pair is None else [pair], return_tensors="pt").to(model.device)
    was_training = model.training
    model.eval()
    if queries_and_keys:
        with captured_queries_and_keys(model) as (queries, keys):
            attentions = model(**encoding, output_attentions=True).attentions
    else:
        queries, keys = None, None
        attentions = model(**encoding, output_attentions=True).attentions
    model.train(was_training)
    if len(attentions) != model.config.num_hidden_layers:
        raise RuntimeError(
            f"The model has {model.config.num_hidden_layers} layers but returned attention of {len(attentions)}."
        )
    return attentions_of_batch(attentions, encoding, queries, keys)[0]
