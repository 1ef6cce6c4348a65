"""A token as a label on one line, whatever it holds."""

import unicodedata

from bot.rendering.columns import width

_SPACE = "␣"


def readable(text: str) -> str:
    r"""A token's `text` on one line: spaces visible, bytes and what cannot be seen as \xNN."""
    return "".join(map(_readable, text))


def cut(text: str, num_columns: int) -> str:
    """As much of `text` as fits into so many columns, with a mark where something is left out."""
    if width(text) <= num_columns:
        return text
    while width(text) >= num_columns:
        text = text[:-1]
    return f"{text}…"


def _readable(character: str) -> str:
    code = ord(character)
    if character in " \\\n\t":
        return {" ": _SPACE, "\\": "\\\\", "\n": "\\n", "\t": "\\t"}[character]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no letter by itself: surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    # a mark would join the letter before it, and the columns no longer stand in line
    if character.isprintable() and not unicodedata.category(character).startswith("M"):
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}"
