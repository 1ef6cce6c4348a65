"""Bootstrap intervals, for one file of replies and for the difference of two.

Dialogues are drawn with replacement, all replies of one together, since they depend on each
other. What counts different things (Distinct-n, entropy) is measured on random halves instead:
their spread is that of the whole, without replies that come twice (McCarthy 1969, "Pseudo-
replication: half samples"; Shao and Wu 1989). Every interval is shifted by the distance between
the figure and the mean of its draws, their bias: Efron and Tibshirani 1993, section 10.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from evaluation.metric import Better, Draws, Numbers, Statistic

LEVEL = 0.95
NUM_RESAMPLES = 1000
MIN_RESAMPLES = 100
_MAX_COST = 1_000_000_000  # numbers gone through: some ten seconds
Groups = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the interval that holds it at LEVEL."""

    value: float
    low: float
    high: float


class Verdict(StrEnum):
    """What a difference says of the second file."""

    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"
    HIGHER = "higher"
    LOWER = "lower"


def group_numbers(groups: Sequence[int]) -> Groups:
    """`groups` of each item, numbered from 0 without a gap."""
    return np.unique(np.asarray(groups, dtype=np.int64), return_inverse=True)[1].astype(np.int64)


def affordable(num_resamples: int, cost: int) -> int:
    """As many resamples of `num_resamples` as `cost` numbers each allow, at least 100 of them."""
    return min(num_resamples, max(MIN_RESAMPLES, _MAX_COST // max(1, cost)))


def draw(statistics: Sequence[Statistic], groups: Groups, num_resamples: int, seed: int) -> Numbers:
    """Shape (num_resamples, num_statistics): each row from one draw, the same for all of them."""
    rng = np.random.default_rng(seed)
    num_groups = int(groups.max()) + 1 if len(groups) else 0
    drawn = np.empty((num_resamples, len(statistics)))
    for i in tqdm(range(num_resamples), desc="bootstrap", leave=False, disable=None, delay=2):
        weights = {
            Draws.BOOTSTRAP: _with_replacement(rng, num_groups)[groups],
            Draws.HALVES: _half(rng, num_groups)[groups],
        }
        drawn[i] = [statistic(weights[statistic.draws]) for statistic in statistics]
    return drawn


def _with_replacement(rng: np.random.Generator, num_groups: int) -> Numbers:
    drawn = rng.integers(num_groups, size=num_groups)
    return np.bincount(drawn, minlength=num_groups).astype(np.float64)


def _half(rng: np.random.Generator, num_groups: int) -> Numbers:
    weights = np.zeros(num_groups)
    weights[rng.permutation(num_groups)[: max(1, num_groups // 2)]] = 1
    return weights


def intervals(
    statistics: Sequence[Statistic], groups: Groups, *, num_resamples: int, seed: int
) -> list[Interval]:
    """The interval of each figure."""
    if not len(groups):
        return [Interval(*[float("nan")] * 3) for _ in statistics]
    ones = np.ones(len(groups))
    drawn = draw(statistics, groups, num_resamples, seed)
    return [_interval(statistics[i](ones), drawn[:, i]) for i in range(len(statistics))]


def differences(
    pairs: Sequence[tuple[Statistic, Statistic]], groups: Groups, *, num_resamples: int, seed: int
) -> list[Interval]:
    """The interval of each second figure minus the first, from the same draws: paired."""
    both = [_difference(first, second) for first, second in pairs]
    return intervals(both, groups, num_resamples=num_resamples, seed=seed)


def verdict(difference: Interval, better: Better) -> Verdict:
    """Whether the difference is one, and whether the second file is better for it."""
    if np.isnan(difference.low) or difference.low <= 0 <= difference.high:
        return Verdict.UNDECIDED
    is_higher = difference.low > 0
    if better is Better.NEITHER:
        return Verdict.HIGHER if is_higher else Verdict.LOWER
    return Verdict.BETTER if is_higher == (better is Better.HIGHER) else Verdict.WORSE


def _difference(first: Statistic, second: Statistic) -> Statistic:
    return Statistic(lambda weights: second(weights) - first(weights), first.draws)


def _interval(value: float, drawn: Numbers) -> Interval:
    known = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(known):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - (known.mean() - value)
    return Interval(value, float(low), float(high))
