"""What every view asks of the numbers and tokens that it draws."""

from __future__ import annotations

import torch

from helpers.attention import Attention

SUM_TOLERANCE = 0.02
"""How far from 1 the sum of a row may be: the rounding of bfloat16 takes it 0.01 away."""


def check_attention(attention: Attention) -> None:
    """Refuses what is no attention.

    The rows of padding are left out of the sum: what padding looks at, nobody reads.

    Raises:
        TypeError: no `Attention`, or a token that is no string.
        ValueError: a token that no page can hold; no weights; weights that are not finite or below 0; a
            row that does not sum to 1; queries or keys of other layers, heads or tokens.
    """
    if not isinstance(attention, Attention):
        raise TypeError(
            f"An Attention is due here, but a {type(attention).__name__} came. attention_weights(...) "
            "makes one of a text, attentions_of_batch(...) of a model's output."
        )
    for token in [*attention.tokens, *(attention.query_tokens or [])]:
        if not isinstance(token, str):
            raise TypeError(f"A token must be a str, but {token!r} is a {type(token).__name__}.")
        if token.encode("utf-8", "ignore").decode() != token:
            raise ValueError(
                f"The token {token!r} holds half a character, which no page can show. Leave it out."
            )
    weights = attention.weights.detach().float()
    layers, heads, n_q, n_k = weights.shape
    if not weights.numel():
        raise ValueError(
            "There are no attention weights to show. Load the model with "
            'attn_implementation="eager" and call it with output_attentions=True.'
        )
    wrong = weights[~(torch.isfinite(weights) & (weights >= 0))]
    if len(wrong):
        raise ValueError(
            f"Attention weights are finite and not negative, but {len(wrong)} of these are not, such as "
            f"{wrong[0].item():.3g}. Pass them as they leave the softmax."
        )
    sums = weights.sum(dim=-1)
    if attention.query_tokens is None and attention.attention_mask is not None:
        sums = sums[..., torch.tensor(attention.attention_mask, dtype=torch.bool)]
    if sums.numel() and (sums - 1).abs().max() > SUM_TOLERANCE:
        raise ValueError(
            f"Each row of attention weights sums to 1, but these sum to {sums.min():.2f} to {sums.max():.2f}. "
            "In training mode dropout changes them: call model.eval() before the model."
        )
    for name, vectors, n in (("queries", attention.queries, n_q), ("keys", attention.keys, n_k)):
        if vectors is not None and (vectors.ndim != 4 or vectors.shape[:3] != (layers, heads, n)):
            raise ValueError(
                f"{name} of shape {tuple(vectors.shape)} do not belong to these weights: "
                f"({layers}, {heads}, {n}, d_k) is due."
            )


def check_head(attention: Attention, layer: int, head: int) -> None:
    """Raises a ValueError if there is no such layer or head."""
    layers, heads = attention.weights.shape[:2]
    if layer not in range(layers) or head not in range(heads):
        raise ValueError(
            f"Layer {layer!r}, head {head!r} is not among {layers} layers of {heads} heads (from 0)."
        )
