"""A metric's figure for a few replies, as a test wants it."""

import math
from collections.abc import Iterable

import numpy as np

from evaluation.item import Item
from evaluation.metric import Metric


def figure(metric: Metric, items: Iterable[Item]) -> float:
    taken = [*items]
    for item in taken:
        metric.add(item)
    return metric.statistic()(np.ones(len(taken)))


def replies(*texts: str) -> list[Item]:
    return [Item(text) for text in texts]


def is_unknown(value: float) -> bool:
    return math.isnan(value)
