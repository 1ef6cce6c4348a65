"""Distinct-n: different n-grams among all n-grams. Li et al. 2016, arXiv:1510.03055, section 5.

As in DialoGPT's evaluation: whitespace tokens, case kept, over all replies together. It falls
with the number of replies, so only files of like size compare.
"""

from evaluation.item import Item
from evaluation.metric import Better, Draws, Facts, Numbers, Statistic
from evaluation.ngrams import NgramCounts


class Distinct:
    """Distinct-n."""

    def __init__(self, n: int) -> None:
        self.facts = Facts(f"distinct_{n}", f"Distinct-{n}", Better.HIGHER, "%", 1)
        self._ngrams = NgramCounts(n)

    def add(self, item: Item) -> None:
        """Take in the next reply."""
        self._ngrams.add(item.completion.split())

    def statistic(self) -> Statistic:
        """Different n-grams by all n-grams."""
        indexed = self._ngrams.indexed()
        return Statistic(lambda weights: distinct_of(indexed.counts(weights)), Draws.HALVES)

    @property
    def cost(self) -> int:
        """Every n-gram."""
        return len(self._ngrams)


def distinct_of(counts: Numbers) -> float:
    """Different things by all things, where each of them comes `counts` times; NaN for none."""
    return len(counts) / float(counts.sum()) if len(counts) else float("nan")
