"""The text of one token, also where it is a part of a letter.

A byte-level vocabulary cuts Hangul and emoji anywhere: decoded alone, such a token is U+FFFD.
"""

import re
from collections.abc import Sequence
from typing import Protocol

_UNREADABLE = "\ufffd"
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")  # SentencePiece's "byte fallback"
_SPACE_PIECE = "\u2581"  # how SentencePiece writes a space
# GPT-2 writes these bytes as the letters of their numbers, the others from U+0100 on in order
# (openai/gpt-2, encoder.py: bytes_to_unicode).
_OWN_LETTERS = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))


class Vocabulary(Protocol):
    """What tells a token's text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        ...

    def piece(self, token_id: int) -> str:
        """How the vocabulary writes a token; empty for an id that it does not have."""
        ...


def token_text(tokenizer: Vocabulary, token_id: int) -> str:
    """The text of a token; a byte that is no letter by itself as a surrogate (`surrogateescape`).

    A special token by its name; an id that the vocabulary does not have as its number.
    """
    piece = tokenizer.piece(token_id)
    text = tokenizer.decode([token_id])
    if _UNREADABLE in text:
        spelt = _bytes_of(piece)
        return text if spelt is None else spelt.decode("utf-8", "surrogateescape")
    if piece.startswith(_SPACE_PIECE):  # decoding a text's first token takes its space away
        return piece.replace(_SPACE_PIECE, " ")
    return text or piece or f"[{token_id}]"


def _bytes_of(piece: str) -> bytes | None:
    """The bytes that `piece` spells; None where it spells none."""
    if found := _BYTE_PIECE.fullmatch(piece):
        return bytes([int(found[1], 16)])
    letters = _letters()
    if not all(letter in letters for letter in piece):
        return None
    return bytes(letters[letter] for letter in piece)


def _letters() -> dict[str, int]:
    others = [byte for byte in range(0x100) if byte not in _OWN_LETTERS]
    return {chr(byte): byte for byte in _OWN_LETTERS} | {
        chr(0x100 + place): byte for place, byte in enumerate(others)
    }
