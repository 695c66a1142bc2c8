"""The attention weights that a model computed for a text."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from helpers.tokens import encode


@dataclass(frozen=True)
class Attention:
    """Attention weights of one text or pair.

    `weights` has shape (layers, heads, n, n), float32: `weights[l, h, i, j]` is how much token i takes
    from token j in head h of layer l; each row sums to 1.
    """

    tokens: list[str]
    token_type_ids: list[int]
    weights: torch.Tensor


@torch.inference_mode()
def attention_weights(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, pair: str | None = None
) -> Attention:
    """Runs `model` on a text, or a pair, and returns every layer's attention weights.

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
    encoding = encode(tokenizer, text, pair, max_length=model.config.max_position_embeddings)
    inputs = {
        name: torch.tensor([encoding[name]], device=model.device)
        for name in ("input_ids", "token_type_ids", "attention_mask")
        if name in encoding
    }
    was_training = model.training
    model.eval()
    attentions = model(**inputs, output_attentions=True).attentions
    model.train(was_training)
    if len(attentions) != model.config.num_hidden_layers:
        raise RuntimeError(
            f"The model has {model.config.num_hidden_layers} layers but returned attention of {len(attentions)}."
        )
    return Attention(
        tokens=encoding.tokens(),
        token_type_ids=list(encoding.get("token_type_ids", [0] * len(encoding["input_ids"]))),
        weights=torch.stack([layer[0].float().cpu() for layer in attentions]),
    )
