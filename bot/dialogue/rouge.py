"""How alike two texts are, word by word: ROUGE-L, case and punctuation left out."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

MAX_WORDS = 512  # bounds the cost; a reply has at most 256 tokens

# Thai, Lao, Burmese, Khmer, Kana and Han are written without spaces: each letter is a word there.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+")
# Hardly a Korean word has eight syllables: such a run is a sentence without its spaces.
_LONG_HANGUL = re.compile("[가-힣]{8,}")
_APOSTROPHE = re.compile("(?<=\\w)['’`](?=\\w)")


def words(text: str) -> list[str]:
    """The words of `text` for comparison, at most MAX_WORDS: `Don't!` is `dont`."""
    folded = _APOSTROPHE.sub("", unicodedata.normalize("NFC", text).casefold())
    spaced = _LONG_HANGUL.sub(lambda run: " ".join(run.group()), folded)
    return _WORD.findall(spaced)[:MAX_WORDS]


def rouge_l(one: Sequence[str], other: Sequence[str]) -> float:
    """ROUGE-L F1 of two texts given as words, from 0 to 1: Lin 2004, section 3.1."""
    if not one or not other:
        return 0.0
    return 2 * common_length(one, other) / (len(one) + len(other))


def common_length(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    Bit-parallel: Hyyrö 2004, "Bit-parallel LCS-length computation revisited". A zero bit in
    `row` stands where the length grows by one, so a word of `other` costs a few additions on
    one long integer.
    """
    places: defaultdict[str, int] = defaultdict(int)
    for i, word in enumerate(one):
        places[word] |= 1 << i
    full = (1 << len(one)) - 1
    row = full
    for word in other:
        matched = row & places.get(word, 0)
        row = ((row + matched) | (row - matched)) & full
    return len(one) - row.bit_count()
