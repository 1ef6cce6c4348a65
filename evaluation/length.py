"""Words a reply has on average: whitespace tokens, an empty reply has none."""

from evaluation.item import Item
from evaluation.metric import Better, Facts, Share


def length() -> Share:
    """Mean length of a reply."""
    return Share(Facts("length", "Length", Better.NEITHER, "words", 1), _words)


def _words(item: Item) -> tuple[float, float]:
    return len(item.completion.split()), 1
