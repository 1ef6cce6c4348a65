"""METEOR from exact and stem matches only: Lavie and Agarwal 2007, without WordNet.

Their parameters: alpha 0.9, beta 3, gamma 0.5. It is lower than METEOR with synonyms and does
not compare with published figures. The stems are Porter's. The best reference counts, then the
mean over the replies.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice

from evaluation.errors import MissingExtraError
from evaluation.item import Item
from evaluation.metric import Better, Facts, Rows, Statistic, ratio
from evaluation.words import Tokenize

_ALPHA, _BETA, _GAMMA = 0.9, 3.0, 0.5
_BEAM = 40  # alignments kept at a time, as in METEOR 1.5
_MAX_PLACES = 6  # tried for one word: a sentence hardly has a word more often
Stem = Callable[[str], str]


class Meteor:
    """METEOR (exact + stem)."""

    def __init__(self, tokenize: Tokenize) -> None:
        self.facts = Facts("meteor_exact_stem", "METEOR (exact + stem)", Better.HIGHER, "%")
        self._tokenize = tokenize
        self._stem: Stem | None = None
        self._rows = Rows(2)

    def add(self, item: Item) -> None:
        """Take in the next reply. Raises MissingExtraError."""
        if not item.references:
            self._rows.append(0, 0)
            return
        self._stem = self._stem or porter()
        reply = self._tokenize(item.completion)
        scores = [meteor(reply, self._tokenize(one), self._stem) for one in item.references]
        self._rows.append(max(scores), 1)

    def statistic(self) -> Statistic:
        """The mean over the replies that have references."""
        return self._rows.statistic(ratio)

    @property
    def cost(self) -> int:
        """Two numbers a reply."""
        return 2 * len(self._rows)


@dataclass(frozen=True, slots=True)
class _Alignment:
    """Which words of the reference are taken, by the words of the reply so far."""

    taken: int = 0  # a bit for each word
    last: int = -2  # the place that the word before was given
    num_chunks: int = 0

    def with_match(self, place: int) -> "_Alignment":
        is_new = place != self.last + 1
        return _Alignment(self.taken | 1 << place, place, self.num_chunks + is_new)

    def without_match(self) -> "_Alignment":
        return _Alignment(self.taken, -2, self.num_chunks)


def meteor(reply: Sequence[str], reference: Sequence[str], stem: Stem) -> float:
    """METEOR of one reply against one reference, from 0 to 1."""
    best = _align([*map(stem, reply)], [*map(stem, reference)])
    num_matches = best.taken.bit_count()
    if not num_matches:
        return 0.0
    precision, recall = num_matches / len(reply), num_matches / len(reference)
    mean = precision * recall / (_ALPHA * precision + (1 - _ALPHA) * recall)
    return mean * (1 - _GAMMA * math.pow(best.num_chunks / num_matches, _BETA))


def _align(reply: Sequence[str], reference: Sequence[str]) -> _Alignment:
    """The alignment with most matches and, among those, fewest chunks, as far as the beam sees.

    Words that are equal have equal stems, and both kinds of match count alike: one stage.
    """
    kept = [_Alignment()]
    for word in reply:
        places = [i for i, other in enumerate(reference) if other == word]
        grown = [one.with_match(place) for one in kept for place in _open_places(one, places)]
        grown += [one.without_match() for one in kept]
        kept = nsmallest(_BEAM, grown, key=_rank)
    return kept[0]


def _open_places(alignment: _Alignment, places: Sequence[int]) -> list[int]:
    """The place that goes on where the word before was, and the first few others."""
    free = (place for place in places if not alignment.taken >> place & 1)
    first = list(islice(free, _MAX_PLACES))
    following = alignment.last + 1
    is_open = following in places and not alignment.taken >> following & 1
    return [*first, following] if is_open and following not in first else first


def _rank(alignment: _Alignment) -> tuple[int, int]:
    return -alignment.taken.bit_count(), alignment.num_chunks


def porter() -> Stem:
    """Porter's stems. Raises MissingExtraError."""
    try:
        # an extra: what needs no references works without it
        from nltk.stem.porter import PorterStemmer  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("METEOR", "nltk") from error
    stemmer = PorterStemmer()
    return lambda word: str(stemmer.stem(word))
