"""Tokens as a reader can read them."""

from __future__ import annotations

from collections.abc import Sequence

from transformers.convert_slow_tokenizer import bytes_to_unicode

CUT = "⋯"
"""Stands in a label where its token ends within a character."""


def characters_of(tokens: Sequence[str], whole: Sequence[bool] | None = None) -> list[str]:
    """Byte-level tokens (`cafÃ©`) as the characters that their bytes spell (`café`).

    ASCII keeps the vocabulary's signs: `Ġ` is a space, `Ċ` the end of a line. A token that ends within a
    character shows all of it, and `CUT` at that end: an emoji of four tokens is `😍⋯`, `⋯😍⋯`, `⋯😍⋯`, `⋯😍`.

    Args:
        tokens: all tokens of a text, in order: pieces of a character are neighbours.
        whole: the tokens that spell no bytes, such as `<s>`; they stay as they are.
    """
    sign_of = bytes_to_unicode()
    byte_of = {sign: byte for byte, sign in sign_of.items()}
    kept = [
        (whole is not None and whole[number]) or not set(token) <= byte_of.keys()
        for number, token in enumerate(tokens)
    ]
    chunks = [
        b" " if keep else bytes(byte_of[sign] for sign in token)
        for token, keep in zip(tokens, kept, strict=True)
    ]
    stream = b"".join(chunks)

    def is_within(at: int) -> bool:
        """Whether a character goes on here: in UTF-8 all its bytes but the first are 10xxxxxx."""
        return 0 < at < len(stream) and stream[at] & 0xC0 == 0x80

    labels, end = [], 0
    for token, chunk, keep in zip(tokens, chunks, kept, strict=True):
        start, end = end, end + len(chunk)
        first, last = start, end
        while is_within(first):
            first -= 1
        while is_within(last):
            last += 1
        covered = stream[first:last].decode("utf-8", "replace")
        shown = "".join(sign_of[ord(c)] if c.isascii() else c for c in covered)
        label = f"{CUT if first < start else ''}{shown}{CUT if last > end else ''}"
        labels.append(token if keep else label)
    return labels
