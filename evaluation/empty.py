"""How many replies show nothing; they count as replies everywhere else, too."""

from bot.dialogue.text import is_blank
from evaluation.item import Item
from evaluation.metric import Better, Facts, Share


def empty() -> Share:
    """Share of the replies in which a reader would see nothing."""
    return Share(Facts("empty", "Empty", Better.LOWER, "%"), _is_empty)


def _is_empty(item: Item) -> tuple[float, float]:
    return is_blank(item.completion), 1
