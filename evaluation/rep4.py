"""rep-4: four-word sequences of a reply that it has already had: Welleck et al. 2020, seq-rep-4.

https://arxiv.org/abs/1908.04319, section 6.1; here over all replies together, word by word,
case and punctuation left out. People: 0.01-0.02 %.
"""

from bot.dialogue.rouge import words
from evaluation.item import Item
from evaluation.metric import Better, Facts, Share
from evaluation.ngrams import ngrams


def rep4() -> Share:
    """Share of the four-word sequences that repeat one of the same reply."""
    return Share(Facts("rep4", "Rep-4 in the reply", Better.LOWER, "%"), _repeated)


def _repeated(item: Item) -> tuple[float, float]:
    fours = ngrams(words(item.completion), 4)
    return len(fours) - len(set(fours)), len(fours)
