"""Text as it comes in at the edge: cleaned of what no reader sees, cut as a reader sees it."""

import re
import unicodedata

import regex

UNREADABLE = "\ufffd"  # what decoding puts in the place of what it cannot read
# C0 without \t and \n, DEL, C1 (CSI, OSC: a terminal would obey them).
_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f"
# Embeddings, overrides, isolates and their deprecated kin: they turn the words after them, ours
# too, the other way round. The marks U+200E, U+200F and U+061C act on one place only and stay.
_DIRECTION = "\u202a-\u202e\u2066-\u206f"
_UNWANTED = re.compile(f"[{_CONTROL}{_DIRECTION}\ufeff\ufff9-\ufffb]")
_NEWLINE = re.compile("\r\n?|[\u0085\u2028\u2029]")
_NEWLINES = re.compile(r"\n(?:[ \t]*\n){2,}")
# Letters, symbols and unassigned characters that Unicode lists as drawn with nothing, and the
# replacement character, which stands for what could not be read.
_UNSEEN = re.compile(
    "[\u115f\u1160\u2065\u2800\u3164\uffa0\ufff0-\ufff8\ufffd\U0001d159\U000e0000-\U000e0fff]"
)
# Marks, controls, formats, surrogates, spaces and line ends: nothing to see without a letter.
_UNSEEN_CATEGORIES = frozenset({"Mn", "Mc", "Me", "Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
# An extended grapheme cluster of Unicode Standard Annex 29: the standard library knows none.
_GRAPHEME = regex.compile(r"\X")


def clean(text: str) -> str:
    """`text` fit to be stored, encoded and shown: NFC, printable, at most one blank line in a row.

    Halves of a surrogate pair are joined, lone ones become U+FFFD. Joiners and variation
    selectors stay: emoji and many scripts are written with them.
    """
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    visible = _UNWANTED.sub("", _NEWLINE.sub("\n", whole))
    # Composed last: taking a character away may bring a letter and its accent together.
    return _NEWLINES.sub("\n\n", unicodedata.normalize("NFC", visible).strip())


def graphemes(text: str) -> list[str]:
    """`text` cut into what a reader sees as one character each; joined they are `text` again."""
    clusters: list[str] = _GRAPHEME.findall(text)
    return clusters


def is_garbled(text: str) -> bool:
    """Whether something in it could not be read: bytes that are no letter, for one."""
    return UNREADABLE in text


def is_blank(text: str) -> bool:
    """Whether a reader would see nothing: spaces, joiners, fillers, marks without a letter."""
    return all(_is_unseen(char) for char in text)


def _is_unseen(char: str) -> bool:
    if char.isspace() or _UNSEEN.match(char):
        return True
    if unicodedata.category(char) == "Cn":
        # Unassigned in this Python's Unicode is often an emoji of a newer one: only the
        # noncharacters are sure to be nothing.
        return ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF
    return unicodedata.category(char) in _UNSEEN_CATEGORIES
