"""Self-repetition: replies that are an own earlier turn again (ROUGE-L of 0.8 or more).

People: 0.07-0.24 %.
"""

from bot.dialogue.rouge import rouge_l, words
from evaluation.item import Item
from evaluation.metric import Better, Facts, Share

LIKENESS = 0.8


def self_repetition() -> Share:
    """Share of the replies that repeat, among those that answer something."""
    return Share(Facts("self_repetition", "Self-repetition", Better.LOWER, "%"), _repeats)


def _repeats(item: Item) -> tuple[float, float]:
    if item.said is None:
        return 0, 0
    reply = words(item.completion)
    return any(rouge_l(reply, words(turn)) >= LIKENESS for turn in item.own_turns), 1
