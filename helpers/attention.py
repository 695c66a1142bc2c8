"""The attention weights that a model computed for a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers.decoders import ByteLevel
from torch import Tensor
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from helpers.tokens import encode, longest_input
from helpers.transformer import split_heads


@dataclass(frozen=True)
class Attention:
    """Attention weights of one text or pair; rows are queries (tokens that look), columns keys."""

    tokens: list[str]
    """The n_k keys."""
    token_type_ids: list[int]
    """Which text each key belongs to: 0, or 1 for the second of a pair."""
    weights: Tensor
    """Shape (layers, heads, n_q, n_k), float32, on the CPU; each row sums to 1, or no view shows it."""
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
    special: list[bool] | None = None
    """Whether each key stands for no text, as `[CLS]` does; None: all stand for text."""
    query_special: list[bool] | None = None
    """The same for `query_tokens`."""
    byte_level: bool = False
    """Whether the tokens spell bytes (`cafÃ©`), as GPT-2's do; views then show the characters."""

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Tensor):
            raise TypeError(f"Weights must be a torch.Tensor, not a {type(self.weights).__name__}.")
        n_k, n_q = len(self.tokens), len(self.tokens if self.query_tokens is None else self.query_tokens)
        if self.weights.ndim != 4 or self.weights.shape[2:] != (n_q, n_k):
            raise ValueError(
                f"{n_q} queries and {n_k} keys need weights of shape (layers, heads, {n_q}, {n_k}), "
                f"not {tuple(self.weights.shape)}."
            )
        counts = {"token_type_ids": n_k, "attention_mask": n_k, "word_ids": n_k, "special": n_k}
        for name, n in (counts | {"query_special": n_q}).items():
            values = getattr(self, name)
            if values is not None and len(values) != n:
                raise ValueError(f"{name} has {len(values)} entries for {n} tokens.")


def special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids of the tokens that stand for no text. An unknown word's stands for one, and is left out."""
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    ids = added.union(tokenizer.all_special_ids)
    return ids if tokenizer.unk_token == tokenizer.eos_token else ids - {tokenizer.unk_token_id}


def attentions_of_batch(
    attentions: Sequence[Tensor] | None,
    encoding: BatchEncoding,
    queries: Sequence[Tensor] | None = None,
    keys: Sequence[Tensor] | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> list[Attention]:
    """What a model returned for a padded batch, as one record a text, padding and mask included.

    Args:
        attentions: the model's `attentions`: for each layer a tensor (B, heads, n, n).
        encoding: what the tokenizer made of the B texts.
        queries, keys: for each layer a tensor (B, heads, n, d_k).
        tokenizer: tells special tokens by their ids and byte-level ones by their decoder. Without it,
            special are those that were put around the texts.

    Raises:
        ValueError: no attention was returned, its shapes disagree with the encoding, or the encoding is
            that of a tokenizer written in Python, which keeps no tokens.
    """
    if not attentions or any(layer is None for layer in attentions):
        raise ValueError(
            "The model returned no attention weights. Load it with "
            'attn_implementation="eager" and call it with output_attentions=True.'
        )
    texts = encoding.encodings or []
    if not texts and len(encoding["input_ids"]):
        raise ValueError(
            "The encoding holds ids alone, for its tokenizer is written in Python. Take a fast tokenizer, or "
            "build Attention(tokens=…, token_type_ids=…, weights=…) yourself."
        )
    rows, n = attentions[0].shape[0], len(texts[0].ids) if texts else 0
    if rows != len(texts):
        raise ValueError(
            f"The attentions are of {rows} texts, the encoding is of {len(texts)}. "
            "Pass the encoding that the model was given."
        )
    if other := [tuple(layer.shape[2:]) for layer in attentions if layer.shape[2:] != (n, n)]:
        raise ValueError(
            f"{n} tokens need attention of shape ({n}, {n}) a head, but this is {other[0]}. Pass the encoding "
            "that the model was given. A model in which not every token sees every other cannot be shown."
        )
    special = None if tokenizer is None else special_ids(tokenizer)
    backend = getattr(tokenizer, "backend_tokenizer", None)

    def stacked(layers: Sequence[Tensor], row: int) -> Tensor:
        return torch.stack([layer[row].detach().float().cpu() for layer in layers])

    return [
        Attention(
            tokens=text.tokens,
            token_type_ids=list(text.type_ids),
            weights=stacked(attentions, row),
            attention_mask=list(text.attention_mask),
            word_ids=text.word_ids,
            queries=None if queries is None else stacked(queries, row),
            keys=None if keys is None else stacked(keys, row),
            special=[
                bool(at_the_ends) if special is None else number in special
                for number, at_the_ends in zip(text.ids, text.special_tokens_mask, strict=True)
            ],
            byte_level=isinstance(getattr(backend, "decoder", None), ByteLevel),
        )
        for row, text in enumerate(texts)
    ]


def _attending_parts(model: PreTrainedModel) -> list[Any]:
    """The part of each layer that makes queries and keys, in a model of BERT's layers."""
    layers = getattr(getattr(model.base_model, "encoder", None), "layer", [])
    parts = [getattr(getattr(layer, "attention", None), "self", None) for layer in layers]
    if not parts or not all(
        hasattr(part, "num_attention_heads") and hasattr(part, "query") for part in parts
    ):
        raise ValueError(
            f"Queries and keys are read from layers like BERT's, but this is a {type(model).__name__}. "
            "Call attention_weights without queries_and_keys."
        )
    return parts


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
        model: an encoder or a decoder; of an encoder-decoder, its encoder.
        queries_and_keys: keep these vectors too (BERT, RoBERTa, XLM-R, ELECTRA).

    Raises:
        TypeError, ValueError: unusable text or tokenizer, see `helpers.tokens.encode`.
        ValueError: the model was not loaded with `attn_implementation="eager"`. Other implementations
            never form the weights, and the library then returns an empty tuple without a word.
        ValueError: an encoder-decoder, or a model that looks through windows.
        RuntimeError: the model returned another number of layers than it has.
    """
    implementation = model.config._attn_implementation
    if implementation != "eager":
        raise ValueError(
            f"The model was loaded with attn_implementation={implementation!r}, which does not keep attention "
            'weights. Load it with attn_implementation="eager".'
        )
    if hasattr(model.base_model, "encoder") and hasattr(model.base_model, "decoder"):
        raise ValueError(
            f"A {type(model).__name__} reads one text and writes another. Pass its encoder, model.get_encoder(); "
            "for the rest build Attention(tokens=…, query_tokens=…, weights=…) from its cross_attentions."
        )
    if (window := getattr(model.config, "attention_window", None)) is not None:
        raise ValueError(
            f"A {type(model).__name__} looks through windows of {window} tokens and returns weights by distance, "
            "not by token. No view here draws those."
        )
    encode(tokenizer, text, pair, max_length=longest_input(model, tokenizer))
    encoding = tokenizer([text], None if pair is None else [pair], return_tensors="pt").to(model.device)
    parts = _attending_parts(model) if queries_and_keys else []
    was_training = model.training
    model.eval()
    try:
        output = model(**encoding, output_attentions=True, output_hidden_states=queries_and_keys)
    finally:
        model.train(was_training)
    if (returned := len(output.attentions)) != model.config.num_hidden_layers:
        raise RuntimeError(
            f"The model has {model.config.num_hidden_layers} layers but returned attention of {returned}."
        )
    given = list(zip(parts, output.hidden_states or [], strict=False))  # and each layer's input
    queries = [split_heads(part.query(X), part.num_attention_heads) for part, X in given]
    keys = [split_heads(part.key(X), part.num_attention_heads) for part, X in given]
    return attentions_of_batch(output.attentions, encoding, queries or None, keys or None, tokenizer)[0]
