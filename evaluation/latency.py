"""Seconds that a reply took, further tries of the guards included."""

from evaluation.item import Item
from evaluation.metric import Better, Facts, Share


def latency() -> Share:
    """Mean seconds of a reply, among those that `generate` timed."""
    return Share(Facts("latency", "Latency", Better.LOWER, "s", 3), _seconds)


def _seconds(item: Item) -> tuple[float, float]:
    return (0, 0) if item.seconds is None else (item.seconds, 1)
