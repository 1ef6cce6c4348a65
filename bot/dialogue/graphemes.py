"""What a reader sees as one character: extended grapheme clusters.

The rules GB3-GB13 of Unicode Standard Annex 29, https://www.unicode.org/reports/tr29/, on the
classes that `unicodedata` knows. Where it does not know a class (which letters form Indic
conjuncts, which symbols are pictographic) we join rather than break: nothing is ever cut inside
a cluster, and a rare pair of clusters counts as one.
"""

import unicodedata

_ZERO_WIDTH_JOINER = "\u200d"
# Extend or SpacingMark although their general category is not a mark.
_EXTENDING = frozenset("\u200c\u200d\uff9e\uff9f\u0e33\u0eb3")
# Cf characters that are printed before a number or a letter, and letters that act like them.
_PREPENDED = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e"
    "\U000110bd\U000110cd\U000111c2\U000111c3\U0001193f\U00011941\U00011a3a"
    "\U00011a84\U00011a85\U00011a86\U00011a87\U00011a88\U00011a89\U00011d46\U00011f02"
)
_VIRAMA_CLASS = 9  # canonical combining class of the sign that joins consonants


def graphemes(text: str) -> list[str]:
    """Cut `text` into its grapheme clusters; joined they are `text` again."""
    clusters: list[str] = []
    start = 0
    num_flags = 0  # regional indicators in a row before `i`: two of them are one flag
    is_linked = False  # whether a joiner or a virama, maybe with marks on it, stands before `i`
    for i in range(1, len(text)):
        before, after = text[i - 1], text[i]
        num_flags = num_flags + 1 if _is_flag(before) else 0
        is_linked = _is_link(before) or (is_linked and _is_extending(before))
        if not (_joined(before, after, num_flags) or (is_linked and _is_linkable(after))):
            clusters.append(text[start:i])
            start = i
    return [*clusters, text[start:]] if text else []


def _joined(before: str, after: str, num_flags: int) -> bool:
    if after < "\u0300" and before < "\u0300":
        return before == "\r" and after == "\n"
    if _is_control(before) or _is_control(after):
        return False
    if _is_extending(after) or before in _PREPENDED:
        return True
    if _is_flag(after):
        return num_flags % 2 == 1
    return _is_hangul_syllable(before, after)


def _is_control(char: str) -> bool:
    if char in _EXTENDING or char in _PREPENDED or _is_tag(char):
        return False
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def _is_extending(char: str) -> bool:
    if unicodedata.category(char).startswith("M") or char in _EXTENDING:
        return True
    return "\U0001f3fb" <= char <= "\U0001f3ff" or _is_tag(char)  # skin tones


def _is_tag(char: str) -> bool:
    """Whether `char` spells the region of a flag such as Scotland's."""
    return "\U000e0020" <= char <= "\U000e007f"


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _is_link(char: str) -> bool:
    """Whether `char` joins emoji (a zero width joiner) or consonants (a virama)."""
    return char == _ZERO_WIDTH_JOINER or unicodedata.combining(char) == _VIRAMA_CLASS


def _is_linkable(char: str) -> bool:
    """Whether `char` may be an emoji, maybe a newer one than this Python knows, or a consonant."""
    return unicodedata.category(char) in {"Lo", "So", "Sm", "Po", "Cn"}


def _is_hangul_syllable(before: str, after: str) -> bool:
    first, second = _jamo(before), _jamo(after)
    if first == "L":
        return second in {"L", "V", "LV", "LVT"}
    if first in {"V", "LV"}:
        return second in {"V", "T"}
    return first in {"T", "LVT"} and second == "T"


def _jamo(char: str) -> str:
    """The Hangul_Syllable_Type of `char`, "" for any other character."""
    if "\uac00" <= char <= "\ud7a3":
        return "LVT" if (ord(char) - 0xAC00) % 28 else "LV"
    if "\u1100" <= char <= "\u115f" or "\ua960" <= char <= "\ua97c":
        return "L"
    if "\u1160" <= char <= "\u11a7" or "\ud7b0" <= char <= "\ud7c6":
        return "V"
    if "\u11a8" <= char <= "\u11ff" or "\ud7cb" <= char <= "\ud7fb":
        return "T"
    return ""
