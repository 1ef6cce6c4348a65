"""Blocked-word rate: replies with a word of the project's own list of words that are not said."""

from bot.dialogue.blocked import is_blocked
from evaluation.item import Item
from evaluation.metric import Better, Facts, Share


def blocked() -> Share:
    """Share of the replies that have a blocked word."""
    return Share(Facts("blocked", "Blocked words", Better.LOWER, "%"), _has_blocked)


def _has_blocked(item: Item) -> tuple[float, float]:
    return is_blocked(item.completion), 1
