"""NIST-n over all replies together, as mteval-v13a and v14 compute it: Doddington 2002.

What an n-gram tells is taken from all references; a reply's n-grams count as often as the
reference that has most of them; the length is held against the average reference, with a
penalty of 0.5 at two thirds of it. NLTK's corpus_nist differs in each and does not compare.
"""

import math
from collections import Counter

import numpy as np

from evaluation.item import Item
from evaluation.metric import Better, Facts, Numbers, Statistic
from evaluation.ngrams import ngrams
from evaluation.words import Tokenize

_BETA = math.log(0.5) / math.log(1.5) ** 2
Ngrams = Counter[tuple[str, ...]]
_NOTHING: Ngrams = Counter()


class Nist:
    """NIST up to n-grams of `order`."""

    def __init__(self, order: int, tokenize: Tokenize) -> None:
        self.facts = Facts(f"nist_{order}", f"NIST-{order}", Better.HIGHER)
        self._order = order
        self._tokenize = tokenize
        self._in_references: Ngrams = Counter()
        self._num_reference_words = 0
        self._matched: list[Ngrams] = []
        self._lengths: list[tuple[int, float]] = []  # words of the reply, of the mean reference

    def add(self, item: Item) -> None:
        """Take in the next reply."""
        if not item.references:
            self._matched.append(_NOTHING)
            self._lengths.append((0, 0.0))
            return
        reply = self._tokenize(item.completion)
        references = [self._tokenize(reference) for reference in item.references]
        most: Ngrams = Counter()
        for reference in references:
            counts = self._counts(reference)
            most |= counts  # the larger count of each
            self._in_references.update(counts)  # += would go through the whole of it
            self._num_reference_words += len(reference)
        self._matched.append(self._counts(reply) & most)
        self._lengths.append((len(reply), sum(map(len, references)) / len(references)))

    def statistic(self) -> Statistic:
        """NIST of the summed counts; what an n-gram tells stays that of all references."""
        if not self._num_reference_words:
            return Statistic(lambda _: float("nan"))
        matrix = np.array([self._row(i) for i in range(len(self._lengths))])
        order = self._order

        def of_weights(weights: Numbers) -> float:
            sums = weights @ matrix
            if not sums[1]:
                return float("nan")
            precision = sum(sums[2 : 2 + order] / np.maximum(sums[2 + order :], 1))
            return float(precision * length_penalty(sums[0] / sums[1]))

        return Statistic(of_weights)

    @property
    def cost(self) -> int:
        """The counts of every reply."""
        return len(self._lengths) * (2 + 2 * self._order)

    def _counts(self, words: list[str]) -> Ngrams:
        return Counter(gram for n in range(1, self._order + 1) for gram in ngrams(words, n))

    def _row(self, i: int) -> list[float]:
        """Words, words of the mean reference, information of the matches by n, n-grams by n."""
        information = [0.0] * self._order
        for gram, count in self._matched[i].items():
            information[len(gram) - 1] += count * self._information(gram)
        num_words, num_wanted = self._lengths[i]
        totals = [max(0, num_words - n) for n in range(self._order)]
        return [num_words, num_wanted, *information, *totals]

    def _information(self, gram: tuple[str, ...]) -> float:
        """Bits: how surprising the last word is after the others."""
        before = self._in_references[gram[:-1]] if len(gram) > 1 else self._num_reference_words
        return math.log2(before / self._in_references[gram])


def length_penalty(share: float) -> float:
    """1 for `share` of the reference's length from 1 on, 0.5 at two thirds, 0 at 0."""
    if share <= 0:
        return 0.0
    return math.exp(_BETA * math.log(min(share, 1.0)) ** 2)
