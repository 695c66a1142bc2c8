"""Dropout at a tenth of its price on a CPU, for hidden states and for attention weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

LEVELS = 256
ATTENTION = "byte_dropout"
"""The name under which `byte_attention` is known to Transformers."""


def drop(x: Tensor, p: float) -> Tensor:
    """Dropout (Srivastava et al., 2014) that spends one random byte on each number.

    On a CPU `nn.Dropout` draws a random float for every number, one after the other; with short texts that
    takes longer than the matrix products around it. A byte is enough to decide with a probability in steps
    of 1/256, and eight of them come from one draw.

    Args:
        x: any shape.
        p: share of the numbers set to zero, rounded to 1/256; the others are scaled so that the mean stays.

    Raises:
        ValueError: `p` is below 0, or not below 1.
    """
    if not 0 <= p < 1:
        raise ValueError(f"Dropout needs a share from 0 up to 1 (not 1 itself), not {p}.")
    threshold = min(round(LEVELS * p), LEVELS - 1)
    if not threshold:
        return x
    size = x.numel()
    draws = torch.empty((size + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    drawn = draws.view(torch.uint8)[:size].view(x.shape)
    return x * (drawn >= threshold).to(x.dtype).mul_(LEVELS / (LEVELS - threshold))


class ByteDropout(nn.Module):
    """`drop` as a module: active in training mode alone, like `nn.Dropout`."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """`x` of any shape, some of its numbers zero and the rest scaled; itself in evaluation mode."""
        return drop(x, self.p) if self.training else x

    def extra_repr(self) -> str:
        return f"p={self.p}"


def byte_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: object,
) -> tuple[Tensor, Tensor]:
    """softmax(QKᵀ/√d_k)V by plain matrix products, its weights dropped by `drop`.

    Transformers calls it as one of its attention functions
    (https://huggingface.co/docs/transformers/attention_interface).

    Args:
        query: shape (B, heads, T, d_k).
        key, value: the same, or fewer heads of which each serves a group of the queries'.
        attention_mask: added to the scores, shape broadcast to (B, heads, T, T); or None.
        scaling: 1/√d_k.

    Returns:
        Shape (B, T, heads, d_k), and the weights, shape (B, heads, T, T).
    """
    if (group := query.shape[1] // key.shape[1]) > 1:
        key, value = (part.repeat_interleave(group, dim=1) for part in (key, value))
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = drop(scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype), dropout)
    return (weights @ value).transpose(1, 2).contiguous(), weights


AttentionInterface.register(ATTENTION, byte_attention)
AttentionMaskInterface.register(ATTENTION, eager_mask)


@contextmanager
def byte_dropout(model: PreTrainedModel) -> Iterator[None]:
    """A model on a CPU drops by bytes for the time of the block, hidden states and attention weights.

    The attention is replaced where it is PyTorch's own, "sdpa". Another may do more than a softmax (MPNet adds
    distances, Gemma bounds the scores), so it stays.
    """
    replaced = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Dropout
    ]
    before = model.config._attn_implementation
    for parent, name, child in replaced:
        setattr(parent, name, ByteDropout(child.p).train(child.training))
    if before == "sdpa":
        model.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        if before == "sdpa":
            model.set_attn_implementation(before)
        for parent, name, child in replaced:
            setattr(parent, name, child.train(parent.training))
