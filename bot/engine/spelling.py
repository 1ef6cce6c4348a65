"""The bytes that a vocabulary's tokens stand for, where a letter may be spread over several.

No torch here.
"""

import re
from collections.abc import Callable, Mapping

_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")  # SentencePiece's "byte fallback"
# GPT-2 writes these bytes as the letters of their numbers, the others from U+0100 on in order
# (openai/gpt-2, encoder.py: bytes_to_unicode).
_OWN_LETTERS = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS = [byte for byte in range(0x100) if byte not in _OWN_LETTERS]
_NO_BYTE = 0xFFFF  # cannot be written in one byte
# by the code of a letter
_BYTE_LETTERS: Mapping[int, int] = (
    dict.fromkeys(_OTHERS, _NO_BYTE)
    | {byte: byte for byte in _OWN_LETTERS}
    | {0x100 + number: byte for number, byte in enumerate(_OTHERS)}
)
_BYTE_LEVEL, _BYTE_FALLBACK = "ByteLevel", "ByteFallback"  # decoders of the library tokenizers


def speller(decoder: object) -> Callable[[str], bytes] | None:
    """What tells the bytes that a piece adds to a text; None where no piece is a part of a letter.

    `decoder`: as tokenizer.json describes it.
    """
    kinds = _kinds(decoder)
    if _BYTE_LEVEL in kinds:
        return lambda piece: _first(bytes_of_letters(piece), piece)
    if _BYTE_FALLBACK in kinds:
        return lambda piece: _first(byte_of(piece), piece)
    return None


def _first(found: bytes | None, piece: str) -> bytes:
    return piece.encode(errors="replace") if found is None else found


def byte_of(piece: str) -> bytes | None:
    """The byte that a `piece` such as <0xEA> stands for; None for any other."""
    found = _BYTE_PIECE.fullmatch(piece)
    return bytes([int(found[1], 16)]) if found else None


def bytes_of_letters(piece: str) -> bytes | None:
    """The bytes that `piece` spells in GPT-2's letters; None where it spells none."""
    try:
        return piece.translate(_BYTE_LETTERS).encode("latin-1")
    except UnicodeEncodeError:
        return None


def _kinds(decoder: object) -> set[object]:
    """The types of a decoder and of those that it is made of."""
    if not isinstance(decoder, dict):
        return set()
    parts = decoder.get("decoders") or []
    return {decoder.get("type")}.union(*map(_kinds, parts))
