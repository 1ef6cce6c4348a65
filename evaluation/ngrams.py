"""Sequences of n words, counted over a whole file, as numbers of eight bytes each."""

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.metric import Numbers

Places = NDArray[np.int32]


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All sequences of `n` neighbouring words, in order."""
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


class NgramCounts:
    """Which n-grams each reply has, for counts under any weighting of the replies.

    N-grams are kept as hashes of 64 bits: 20 million of them hold no two alike by chance, with
    a probability of 99.999 %.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._hashes = array("q")
        self._lengths = array("q")
        self._num_ngrams = 0

    def add(self, words: Sequence[str]) -> None:
        """The words of the next reply."""
        found = ngrams(words, self._n)
        self._hashes.extend(map(hash, found))
        self._lengths.append(len(found))
        self._num_ngrams += len(found)

    def __len__(self) -> int:
        return self._num_ngrams

    def indexed(self) -> "IndexedNgrams":
        """The counts, ready to be weighted; may be called once, since it lets the hashes go."""
        _, kinds = np.unique(np.frombuffer(self._hashes, dtype=np.int64), return_inverse=True)
        self._hashes = array("q")
        lengths = np.frombuffer(self._lengths, dtype=np.int64)
        items = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        return IndexedNgrams(kinds.astype(np.int32), items)


class IndexedNgrams:
    """`kinds` and `items`, both of shape (num_ngrams,): which n-gram, and in which reply."""

    def __init__(self, kinds: Places, items: Places) -> None:
        self._kinds = kinds
        self._items = items

    def counts(self, weights: Numbers) -> Numbers:
        """How often each n-gram comes, the replies weighted; those that come at all."""
        counts = np.bincount(self._kinds, weights=weights[self._items])
        return counts[counts > 0].astype(np.float64)
