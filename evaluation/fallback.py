"""How often the bot said its sentence for having no fit reply: the price of the guards."""

from evaluation.item import Item
from evaluation.metric import Better, Facts, Share


def fallback() -> Share:
    """Share of the replies that are the fallback sentence."""
    return Share(Facts("fallback", "Fallback", Better.LOWER, "%"), _is_fallback)


def _is_fallback(item: Item) -> tuple[float, float]:
    return item.is_fallback, 1
