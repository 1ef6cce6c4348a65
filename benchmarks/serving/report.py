"""Measurements made into rows, a table and a file."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.serving.limits import Machine
from benchmarks.serving.workload import Served

BASELINE = "reference"
HEADINGS = (
    *("system", "dtype", "users", "tok/s", "ratio", "pace", "ratio"),
    *("first p50", "p95", "done p50", "p95", "of limit"),
)
WIDTHS = (16, 9, 6, 8, 7, 7, 7, 10, 8, 9, 8, 9)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One system's answers to one workload; `least_seconds` is what the machine's limits allow."""

    system: str
    dtype: str
    num_users: int
    repetition: int
    seconds: float
    least_seconds: float
    served: tuple[Served, ...]

    @property
    def tokens_per_second(self) -> float:
        """Tokens of all replies, over the time until the last one was done."""
        return sum(one.num_tokens for one in self.served) / self.seconds

    @property
    def pace(self) -> float:
        """Tokens a second that a person sees in a reply after its first token."""
        return statistics.median(one.pace for one in self.served)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the file: medians over the repetitions, ratios of the same repetition."""

    system: str
    dtype: str
    users: int
    tokens_per_second: float
    ratio: float | None
    p50_seconds: float
    p95_seconds: float
    first_token_p50_seconds: float
    limit_share: float


@dataclass(frozen=True, slots=True)
class Line:
    """A row, and what only the table shows."""

    row: Row
    pace: float
    pace_ratio: float | None
    first_token_p95_seconds: float

    @property
    def cells(self) -> tuple[str, ...]:
        """The line as it is printed."""
        row = self.row
        return (
            *(row.system, row.dtype, str(row.users)),
            *(f"{row.tokens_per_second:.1f}", _ratio(row.ratio)),
            *(f"{self.pace:.1f}", _ratio(self.pace_ratio)),
            *(f"{row.first_token_p50_seconds:.2f}", f"{self.first_token_p95_seconds:.2f}"),
            *(f"{row.p50_seconds:.2f}", f"{row.p95_seconds:.2f}"),
            f"{row.limit_share:.0%}",
        )


def summarise(measurements: Sequence[Measurement]) -> list[Line]:
    """A line for each system, dtype and number of people, in the order of measuring."""
    places = dict.fromkeys((one.num_users, one.system, one.dtype) for one in measurements)
    return [
        _line([one for one in measurements if (one.num_users, one.system, one.dtype) == place],
              [one for one in measurements if one.system == BASELINE and one.num_users == place[0]])
        for place in sorted(places, key=lambda place: place[0])
    ]  # fmt: skip


def print_table(lines: Sequence[Line]) -> None:
    """All lines, with a heading."""
    for cells in (HEADINGS, *(line.cells for line in lines)):
        first, second = (f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS[:2], strict=False))
        others = zip(cells[2:], WIDTHS[2:], strict=True)
        print(first + second + "".join(f"{cell:>{width}}" for cell, width in others))


def write_json(path: Path, machine: Machine, lines: Sequence[Line]) -> None:
    """The file that other programs read."""
    content = {"machine": asdict(machine), "rows": [asdict(line.row) for line in lines]}
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which `percent` of a hundred of `values` lie."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _line(measurements: Sequence[Measurement], baseline: Sequence[Measurement]) -> Line:
    first = measurements[0]
    served = [one for measurement in measurements for one in measurement.served]
    done = [one.seconds for one in served]
    first_tokens = [one.first_token_seconds for one in served]
    by_repetition = {one.repetition: one for one in baseline}
    pairs = [
        (one, by_repetition[one.repetition])
        for one in measurements
        if one.repetition in by_repetition
    ]
    row = Row(
        system=first.system,
        dtype=first.dtype,
        users=first.num_users,
        tokens_per_second=statistics.median(one.tokens_per_second for one in measurements),
        ratio=_median([one.tokens_per_second / base.tokens_per_second for one, base in pairs]),
        p50_seconds=percentile(done, 50),
        p95_seconds=percentile(done, 95),
        first_token_p50_seconds=percentile(first_tokens, 50),
        limit_share=statistics.median(one.least_seconds / one.seconds for one in measurements),
    )
    return Line(
        row=row,
        pace=statistics.median(one.pace for one in measurements),
        pace_ratio=_median([one.pace / base.pace for one, base in pairs if base.pace]),
        first_token_p95_seconds=percentile(first_tokens, 95),
    )


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
