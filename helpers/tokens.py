"""What a tokenizer made of a text, as a table and as coloured text; and how much of it a model takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import pandas as pd
from IPython.display import HTML
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

TINTS = 6
"""Number of colours that the groups of `coloured_tokens` take in turn."""

_STYLE = (
    "border-radius:3px;padding:1px 3px;margin:1px;display:inline-block;"
    "border-bottom:2px solid hsl({hue} 60% 45%);background:hsl({hue} 70% 50% / 0.18)"
)


def check_text(text: object) -> str:
    """The text itself, if it is one non-empty string.

    Raises:
        TypeError: not a string; a list of strings is named as such.
        ValueError: nothing but white space, or a lone surrogate, which is half a character.
    """
    if isinstance(text, (list, tuple)):
        raise TypeError(
            f"One text is due here, but a {type(text).__name__} of {len(text)} came. Pass one of its elements."
        )
    if not isinstance(text, str):
        raise TypeError(f"A text must be a str, but {text!r} is a {type(text).__name__}.")
    if not text.strip():
        raise ValueError(f"The text is empty ({text!r}). Pass at least one word.")
    if (whole := text.encode("utf-8", "ignore").decode()) != text:
        raise ValueError(
            f"The text {text!r} holds half a character. Read it in its encoding, or take {whole!r}."
        )
    return text


def longest_input(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> float:
    """The most tokens that a model takes at once, special ones included; infinity where it has no limit.

    That is the tokenizer's limit or the model's number of positions, whichever is smaller. RoBERTa and its
    kin count positions from the padding id + 1, and have so many fewer. T5 and XLNet know distances alone.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or -1
    for name, part in model.named_modules():
        if name.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            positions = part.num_embeddings - part.padding_idx - 1
            break
    return min((n for n in (tokenizer.model_max_length, positions) if 0 < n < 10**9), default=math.inf)


def encode(
    tokenizer: PreTrainedTokenizerBase, text: str, pair: str | None = None, max_length: float | None = None
) -> BatchEncoding:
    """Tokenizes one text, or a pair; refuses what a model could not take.

    Args:
        max_length: the most tokens; None: what the tokenizer says of its model.

    Returns:
        Lists of length n: `input_ids`, `attention_mask`, `offset_mapping`, and `token_type_ids` where the
        model takes them.

    Raises:
        TypeError, ValueError: see `check_text`.
        ValueError: more than `max_length` tokens: nothing is ever cut silently. Or a tokenizer that is
            written in Python: such a one has no offsets.
    """
    check_text(text)
    if pair is not None:
        check_text(pair)
    if not tokenizer.is_fast:
        raise ValueError(
            f"A {type(tokenizer).__name__} is written in Python and does not know which characters a token "
            "covers. Take a fast tokenizer where there is one; tokens alone come from tokenizer.tokenize(text)."
        )
    most = tokenizer.model_max_length if max_length is None else max_length
    encoding = tokenizer(text, pair, return_offsets_mapping=True, verbose=False)
    if (length := len(encoding["input_ids"])) > most:
        raise ValueError(
            f"The text has {length} tokens, but the model takes at most {most}. "
            "Shorten it, split it into pieces, or truncate it yourself with "
            f"tokenizer(text, truncation=True, max_length={most})."
        )
    return encoding


def token_table(tokenizer: PreTrainedTokenizerBase, text: str, pair: str | None = None) -> pd.DataFrame:
    """One row a token: token, id, type, mask, characters `[start, end)` and the text they cover.

    The text may have any length, for no model reads it. Errors as for `encode`.
    """
    encoding = encode(tokenizer, text, pair, max_length=math.inf)
    sides = {0: text, 1: pair or ""}
    rows = []
    for position, (start, end) in enumerate(encoding["offset_mapping"]):
        side = encoding.token_to_sequence(position)
        rows.append(
            {
                "token": tokenizer.convert_ids_to_tokens(encoding["input_ids"][position]),
                "input_id": encoding["input_ids"][position],
                "token_type_id": encoding["token_type_ids"][position] if "token_type_ids" in encoding else 0,
                "attention_mask": encoding["attention_mask"][position],
                "start": start,
                "end": end,
                "characters": "" if side is None else sides[side][start:end],
            }
        )
    return pd.DataFrame(rows)


def coloured_tokens(tokens: Sequence[str], groups: Sequence[int | None], label: str) -> HTML:
    """Tokens as inline boxes; tokens of one group share a colour, group None has none.

    Args:
        tokens: the strings to show; they are escaped.
        groups: one group number for each token, for example `encoding.word_ids()`.
        label: what a screen reader says before the tokens.

    Raises:
        TypeError, ValueError: a token is no string, or `tokens` and `groups` differ in length.
    """
    if len(tokens) != len(groups):
        raise ValueError(f"{len(tokens)} tokens, but {len(groups)} groups: there must be one for each token.")
    boxes = []
    for token, group in zip(tokens, groups, strict=True):
        if not isinstance(token, str):
            raise TypeError(f"A token must be a str, but {token!r} is a {type(token).__name__}.")
        hue = None if group is None else (group % TINTS) * 360 // TINTS
        style = "padding:1px 3px;margin:1px;opacity:.75" if hue is None else _STYLE.format(hue=hue)
        boxes.append(f'<code class="course-token" style="{style}">{escape(token)}</code>')
    return HTML(
        f'<div class="course-tokens" role="group" aria-label="{escape(label)}">{" ".join(boxes)}</div>'
    )
