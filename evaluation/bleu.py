"""BLEU-n over all replies together, by sacrebleu: Papineni et al. 2002, Post 2018.

Not smoothed, as in DialoGPT's evaluation. A reply without references is left out; an empty
reply with references is not: it lengthens what is missing.
"""

from typing import Any

import numpy as np

from evaluation.errors import MissingExtraError
from evaluation.item import Item
from evaluation.metric import Better, Facts, Numbers, Rows, Statistic
from evaluation.words import Tokenize


class Bleu:
    """BLEU up to n-grams of `order`; loads sacrebleu with the first reference."""

    def __init__(self, order: int, tokenize: Tokenize) -> None:
        self.facts = Facts(f"bleu_{order}", f"BLEU-{order}", Better.HIGHER, "%")
        self._order = order
        self._tokenize = tokenize
        self._rows = Rows(2 + 2 * order)
        self._scorer: Any = None  # sacrebleu's; loaded late
        self._num_references: set[int] = set()

    def add(self, item: Item) -> None:
        """Take in the next reply. Raises MissingExtraError."""
        if not item.references:
            self._rows.append(*[0] * (2 + 2 * self._order))
            return
        self._scorer = self._scorer or _scorer(self._order)
        self._num_references.add(len(item.references))
        score = self._scorer.sentence_score(
            " ".join(self._tokenize(item.completion)),
            [" ".join(self._tokenize(reference)) for reference in item.references],
        )
        self._rows.append(score.sys_len, score.ref_len, *score.counts, *score.totals)

    def statistic(self) -> Statistic:
        """BLEU of the summed counts, from 0 to 1."""
        return self._rows.statistic(self._of_sums)

    @property
    def cost(self) -> int:
        """The counts of every reply."""
        return len(self._rows) * (2 + 2 * self._order)

    @property
    def signature(self) -> str:
        """What a BLEU figure says nothing without, by sacrebleu; "" without references.

        The words in it are cut by us beforehand, so it says tok:none.
        """
        if self._scorer is None:
            return ""
        scorer = _scorer(self._order, effective=False)
        alike = len(self._num_references) == 1
        scorer.num_refs = next(iter(self._num_references)) if alike else -1
        return f"{scorer.get_signature().format()}|order:{self._order}"

    def _of_sums(self, sums: Numbers) -> float:
        if not sums[1]:
            return float("nan")
        counts, totals = np.split(sums[2:], 2)
        score = self._scorer.compute_bleu(
            correct=list(counts),
            total=list(totals),
            sys_len=int(sums[0]),
            ref_len=int(sums[1]),
            smooth_method="none",
            max_ngram_order=self._order,
        )
        return float(score.score) / 100


def _scorer(order: int, *, effective: bool = True) -> Any:
    """BLEU by sacrebleu; `effective` keeps it from a warning when it counts a single reply."""
    try:
        # an extra: what needs no references works without it
        from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("BLEU", "sacrebleu") from error
    return BLEU(
        tokenize="none",
        force=True,  # the words are cut already, which it would warn of
        smooth_method="none",
        max_ngram_order=order,
        effective_order=effective,
    )
