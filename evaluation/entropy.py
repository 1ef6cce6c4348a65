"""Entropy of n-grams (ENT-n): how evenly the replies use their words, in nats.

As in DialoGPT's evaluation: whitespace tokens, case kept, over all replies together. Zhang et
al. 2018, https://arxiv.org/abs/1809.05972, section 4.2.
"""

import numpy as np

from evaluation.item import Item
from evaluation.metric import Better, Draws, Facts, Numbers, Statistic
from evaluation.ngrams import NgramCounts


class Entropy:
    """ENT-n."""

    def __init__(self, n: int) -> None:
        self.facts = Facts(f"entropy_{n}", f"Entropy-{n}", Better.HIGHER, "nats")
        self._ngrams = NgramCounts(n)

    def add(self, item: Item) -> None:
        """Take in the next reply."""
        self._ngrams.add(item.completion.split())

    def statistic(self) -> Statistic:
        """Minus the sum of p log p over the n-grams."""
        indexed = self._ngrams.indexed()
        return Statistic(lambda weights: entropy_of(indexed.counts(weights)), Draws.HALVES)

    @property
    def cost(self) -> int:
        """Every n-gram."""
        return len(self._ngrams)


def entropy_of(counts: Numbers) -> float:
    """The entropy in nats of what comes `counts` times, all above 0; NaN for none."""
    total = counts.sum()
    if not total:
        return float("nan")
    return float(np.log(total) - (counts * np.log(counts)).sum() / total)
