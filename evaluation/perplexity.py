"""Perplexity of the replies under the model that made them, a token and a word.

Only the bot's turns count, their end-of-text included; the distribution is the model's own,
before temperature and bans. A token depends on the vocabulary, a word (between blanks) does
not, so models with different vocabularies compare by the word. What nobody's model measured has
no perplexity; `probe` measures any text.
"""

import math
from collections.abc import Callable

from evaluation.item import Item
from evaluation.metric import Better, Facts, Numbers, Rows, Statistic


class Perplexity:
    """The exponential of the mean loss of what `count` counts."""

    def __init__(self, facts: Facts, count: Callable[[Item], int]) -> None:
        self.facts = facts
        self._count = count
        self._rows = Rows(2)

    def add(self, item: Item) -> None:
        """Take in the next reply."""
        if item.num_tokens:
            self._rows.append(-item.logprob, self._count(item))
        else:
            self._rows.append(0, 0)

    def statistic(self) -> Statistic:
        """Exp of the summed loss by the summed count."""
        return self._rows.statistic(_of_sums)

    @property
    def cost(self) -> int:
        """Two numbers a reply."""
        return 2 * len(self._rows)


def perplexity_per_token() -> Perplexity:
    """Perplexity a token, the end of the turn being one."""
    facts = Facts("perplexity_token", "Perplexity a token", Better.NEITHER)
    return Perplexity(facts, lambda item: item.num_tokens)


def perplexity_per_word() -> Perplexity:
    """Perplexity a word: the same loss, by the words between blanks."""
    facts = Facts("perplexity_word", "Perplexity a word", Better.NEITHER, "", 1)
    return Perplexity(facts, lambda item: len(item.completion.split()))


def _of_sums(sums: Numbers) -> float:
    if not sums[1]:
        return math.nan
    return math.exp(min(float(sums[0] / sums[1]), 700.0))  # beyond, a float has no room
