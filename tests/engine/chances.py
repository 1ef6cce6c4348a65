"""Pearson's chi-square test, without a library."""

from collections.abc import Sequence

_LEAST_EXPECTED = 5.0  # cells that expect fewer are put together, as the test demands
_NORMAL_AT_0_001 = 3.0902


def chi_square(counts: Sequence[int], expected: Sequence[float]) -> tuple[float, int]:
    """The statistic of `counts` against `expected`, and its degrees of freedom."""
    cells: list[tuple[float, float]] = []
    count_of_small = expected_of_small = 0.0
    for count, wanted in zip(counts, expected, strict=True):
        if wanted >= _LEAST_EXPECTED:
            cells.append((count, wanted))
        else:
            count_of_small += count
            expected_of_small += wanted
    if expected_of_small >= 1:
        cells.append((count_of_small, expected_of_small))
    else:
        assert count_of_small <= 10
    statistic = sum((count - wanted) ** 2 / wanted for count, wanted in cells)
    return statistic, len(cells) - 1


def largest_chi_square(num_free: int) -> float:
    """What a true distribution exceeds once in a thousand times; Wilson and Hilferty 1931."""
    if num_free == 0:
        return 1e-3
    part = 2 / (9 * num_free)
    return float(num_free * (1 - part + _NORMAL_AT_0_001 * part**0.5) ** 3)
