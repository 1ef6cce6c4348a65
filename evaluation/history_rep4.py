"""Four-word sequences of a reply that its dialogue has already had. People: 0.4-0.6 %."""

from bot.dialogue.rouge import words
from evaluation.item import Item
from evaluation.metric import Better, Facts, Share
from evaluation.ngrams import ngrams


def history_rep4() -> Share:
    """Share of the four-word sequences that some earlier turn of the dialogue holds."""
    facts = Facts("history_rep4", "Rep-4 of the history", Better.LOWER, "%")
    return Share(facts, _repeated)


def _repeated(item: Item) -> tuple[float, float]:
    if not item.history:
        return 0, 0
    said = {four for turn in item.history for four in ngrams(words(turn), 4)}
    fours = ngrams(words(item.completion), 4)
    return sum(four in said for four in fours), len(fours)
