"""What every metric is: facts about it, replies taken in one by one, a figure for any weighting.

A figure is a function of one weight a reply. All ones give the figure itself; the counts of a
draw give one point of its interval. So a metric is written once, and its interval and its
comparison follow.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.item import Item

Numbers = NDArray[np.float64]


class Draws(StrEnum):
    """How replies are drawn for the interval of a figure.

    HALVES is for what counts different things: a draw with replacement holds replies twice, and
    of Distinct-2 it gave three times the spread that different replies of people have.
    """

    BOOTSTRAP = "with replacement"
    HALVES = "one half of them"


@dataclass(frozen=True, slots=True)
class Statistic:
    """A figure for weights of shape (num_items,)."""

    of_weights: Callable[[Numbers], float]
    draws: Draws = Draws.BOOTSTRAP

    def __call__(self, weights: Numbers) -> float:
        """The figure; NaN where there is nothing to measure."""
        return self.of_weights(weights)


class Better(StrEnum):
    """Which way a metric is better; NEITHER for one that describes."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a metric is called and how it reads.

    `unit` "%" shows a share in percent. `decimals` are those shown.
    """

    name: str
    title: str
    better: Better
    unit: str = ""
    decimals: int = 2

    def show(self, value: float) -> str:
        """`value` as people read it."""
        if np.isnan(value):
            return "–"
        return f"{100 * value if self.unit == '%' else value:,.{self.decimals}f}"


class Metric(Protocol):
    """Takes replies in and has a figure in the end."""

    @property
    def facts(self) -> Facts:
        """What it is called."""
        ...

    def add(self, item: Item) -> None:
        """Take in the next reply."""
        ...

    def statistic(self) -> Statistic:
        """The figure for weights of shape (num_items,); NaN where there is nothing to measure."""
        ...

    @property
    def cost(self) -> int:
        """How many numbers the figure is computed from, every time."""
        ...


class Rows:
    """Numbers of each reply, `width` of them, whose weighted sums a figure is made from."""

    def __init__(self, width: int) -> None:
        self._numbers = array("d")
        self._width = width

    def append(self, *numbers: float) -> None:
        """The numbers of the next reply."""
        if len(numbers) != self._width:
            raise ValueError(f"{len(numbers)} numbers in a row of {self._width}")
        self._numbers.extend(numbers)

    def __len__(self) -> int:
        return len(self._numbers) // self._width

    def matrix(self) -> Numbers:
        """Shape (num_items, width)."""
        return np.frombuffer(self._numbers, dtype=np.float64).reshape(-1, self._width)

    def statistic(self, of_sums: Callable[[Numbers], float]) -> Statistic:
        """The figure that `of_sums` makes of the sums, shape (width,)."""
        matrix = self.matrix()
        return Statistic(lambda weights: of_sums(weights @ matrix))


def ratio(sums: Numbers) -> float:
    """The first of two sums by the second; NaN where there is nothing to divide by."""
    return float(sums[0] / sums[1]) if sums[1] else float("nan")


class Share:
    """A metric that is so many of so many: `judge` gives both for a reply, (0, 0) for none."""

    def __init__(self, facts: Facts, judge: Callable[[Item], tuple[float, float]]) -> None:
        self._facts = facts
        self._judge = judge
        self._rows = Rows(2)

    @property
    def facts(self) -> Facts:
        """What it is called."""
        return self._facts

    def add(self, item: Item) -> None:
        """Take in the next reply."""
        self._rows.append(*self._judge(item))

    def statistic(self) -> Statistic:
        """The sum of the first numbers by the sum of the second ones."""
        return self._rows.statistic(ratio)

    @property
    def cost(self) -> int:
        """Two numbers a reply."""
        return 2 * len(self._rows)

    @property
    def num_judged(self) -> float:
        """The sum of the second numbers: of how many it is a share."""
        return float(self._rows.matrix()[:, 1].sum())
