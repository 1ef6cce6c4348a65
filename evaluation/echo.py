"""Echo: replies that say again what the member just said (ROUGE-L of 0.5 or more).

People: 0.2-1.2 %.
"""

from bot.dialogue.rouge import rouge_l, words
from evaluation.item import Item
from evaluation.metric import Better, Facts, Share

LIKENESS = 0.5


def echo() -> Share:
    """Share of the replies that echo, among those that answer something."""
    return Share(Facts("echo", "Echo", Better.LOWER, "%"), _echoes)


def _echoes(item: Item) -> tuple[float, float]:
    if item.said is None:
        return 0, 0
    return rouge_l(words(item.completion), words(item.said)) >= LIKENESS, 1
