"""What a tokenizer made of a text, as a table and as coloured text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd
from IPython.display import HTML
from transformers import BatchEncoding, PreTrainedTokenizerBase

TINTS = 6
"""Number of token colours; `course.css` and the inline style below use the same ones."""

_STYLE = (
    "border-radius:3px;padding:1px 3px;margin:1px;display:inline-block;"
    "border-bottom:2px solid hsl({hue} 60% 45%);background:hsl({hue} 70% 50% / 0.18)"
)


def check_text(text: object) -> str:
    """The text itself, if it is one non-empty string.

    Raises:
        TypeError: not a string; a list of strings is named as such.
        ValueError: nothing but white space.
    """
    if isinstance(text, (list, tuple)):
        raise TypeError(
            f"One text is due here, but a {type(text).__name__} of {len(text)} came. Pass one of its elements."
        )
    if not isinstance(text, str):
        raise TypeError(f"A text must be a str, but {text!r} is a {type(text).__name__}.")
    if not text.strip():
        raise ValueError(f"The text is empty ({text!r}). Pass at least one word.")
    return text


def encode(
    tokenizer: PreTrainedTokenizerBase, text: str, pair: str | None = None, max_length: int = 512
) -> BatchEncoding:
    """Tokenizes one text, or a pair, with offsets; refuses what a model could not take.

    Returns:
        Lists of length n: `input_ids`, `token_type_ids`, `attention_mask`, `offset_mapping`.

    Raises:
        TypeError, ValueError: see `check_text`.
        ValueError: more than `max_length` tokens. Nothing is ever cut silently.
    """
    check_text(text)
    if pair is not None:
        check_text(pair)
    encoding = tokenizer(text, pair, return_offsets_mapping=True, verbose=False)
    if (length := len(encoding["input_ids"])) > max_length:
        raise ValueError(
            f"The text has {length} tokens, but the model takes at most {max_length}. "
            "Shorten it, split it into pieces, or truncate it yourself with "
            f"tokenizer(text, truncation=True, max_length={max_length})."
        )
    return encoding


def token_table(tokenizer: PreTrainedTokenizerBase, text: str, pair: str | None = None) -> pd.DataFrame:
    """One row a token: token, id, type, mask, characters `[start, end)` and the text they cover."""
    encoding = encode(tokenizer, text, pair)
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
        ValueError: `tokens` and `groups` differ in length.
    """
    if len(tokens) != len(groups):
        raise ValueError(f"{len(tokens)} tokens, but {len(groups)} groups: there must be one for each token.")
    boxes = []
    for token, group in zip(tokens, groups, strict=True):
        hue = None if group is None else (group % TINTS) * 360 // TINTS
        style = "padding:1px 3px;margin:1px;opacity:.75" if hue is None else _STYLE.format(hue=hue)
        boxes.append(f'<code class="course-token" style="{style}">{escape(token)}</code>')
    return HTML(
        f'<div class="course-tokens" role="group" aria-label="{escape(label)}">{" ".join(boxes)}</div>'
    )
