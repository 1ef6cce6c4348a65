import math
from collections.abc import Callable

import numpy as np
import pytest

from evaluation.bootstrap import (
    Interval,
    Verdict,
    affordable,
    differences,
    group_numbers,
    intervals,
    verdict,
)
from evaluation.distinct import Distinct
from evaluation.entropy import Entropy
from evaluation.item import Item
from evaluation.length import length
from evaluation.metric import Better, Metric, Statistic


def mean_of(numbers: list[float]) -> Statistic:
    values = np.array(numbers)
    return Statistic(lambda weights: float(weights @ values / weights.sum()))


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    rng = np.random.default_rng(1)
    numbers = rng.normal(5, 2, size=400)
    [found] = intervals(
        [mean_of(list(numbers))], group_numbers(range(400)), num_resamples=2000, seed=0
    )
    error = 1.96 * numbers.std() / 20
    assert found.value == pytest.approx(numbers.mean())
    assert found.low == pytest.approx(numbers.mean() - error, abs=0.03)
    assert found.high == pytest.approx(numbers.mean() + error, abs=0.03)


@pytest.mark.parametrize("make", [lambda: Distinct(2), lambda: Entropy(2)], ids=["d2", "ent2"])
def test_what_counts_different_things_has_the_spread_of_other_replies(
    make: Callable[[], Metric],
) -> None:
    """The plain bootstrap of Distinct is up to three times too wide."""
    rng = np.random.default_rng(3)
    values, spreads = [], []
    for _ in range(40):
        metric = make()
        for _ in range(120):  # words as Zipf has them
            metric.add(Item(" ".join(f"w{n}" for n in rng.zipf(1.6, size=rng.integers(2, 12)))))
        groups = group_numbers(range(120))
        [found] = intervals([metric.statistic()], groups, num_resamples=60, seed=0)
        assert found.low < found.value < found.high
        values.append(found.value)
        spreads.append((found.high - found.low) / 3.92)
    assert np.mean(spreads) == pytest.approx(np.std(values), rel=0.3)


def test_replies_of_one_dialogue_are_drawn_together() -> None:
    numbers = [float(i // 10) for i in range(100)]  # ten dialogues of ten like replies
    together, apart = (
        intervals([mean_of(numbers)], group_numbers(groups), num_resamples=400, seed=0)[0]
        for groups in ([i // 10 for i in range(100)], range(100))
    )
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_the_same_seed_gives_the_same_interval() -> None:
    first, again, other = (
        intervals([mean_of([1, 2, 3, 9])], group_numbers(range(4)), num_resamples=50, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_pairs_are_drawn_together_so_a_small_steady_difference_is_seen() -> None:
    rng = np.random.default_rng(2)
    first = rng.normal(0, 10, size=200)
    second = first + 0.5 + rng.normal(0, 0.1, size=200)
    [found] = differences(
        [(mean_of(list(first)), mean_of(list(second)))],
        group_numbers(range(200)),
        num_resamples=300,
        seed=0,
    )
    assert 0.4 < found.low < found.value < found.high < 0.6


@pytest.mark.parametrize(
    ("low", "high", "better", "said"),
    [
        (0.1, 0.2, Better.HIGHER, Verdict.BETTER),
        (0.1, 0.2, Better.LOWER, Verdict.WORSE),
        (-0.2, -0.1, Better.LOWER, Verdict.BETTER),
        (-0.2, -0.1, Better.HIGHER, Verdict.WORSE),
        (-0.1, 0.2, Better.HIGHER, Verdict.UNDECIDED),
        (0.0, 0.0, Better.HIGHER, Verdict.UNDECIDED),
        (math.nan, math.nan, Better.HIGHER, Verdict.UNDECIDED),
        (0.1, 0.2, Better.NEITHER, Verdict.HIGHER),
        (-0.2, -0.1, Better.NEITHER, Verdict.LOWER),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(
    low: float, high: float, better: Better, said: Verdict
) -> None:
    assert verdict(Interval((low + high) / 2, low, high), better) is said


def test_what_cannot_be_measured_has_no_interval() -> None:
    metric = length()
    [found] = intervals([metric.statistic()], group_numbers([]), num_resamples=10, seed=0)
    assert math.isnan(found.value)


def test_costly_figures_are_drawn_less_often() -> None:
    assert affordable(1000, 10) == 1000
    assert affordable(1000, 10**9) == 100
    assert affordable(50, 10**9) == 50
