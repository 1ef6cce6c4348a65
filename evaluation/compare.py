"""`python -m evaluation compare FIRST SECOND`: is the second file better, and where.

The same dialogues answered twice. Both files are drawn together (paired bootstrap: Koehn 2004,
https://aclanthology.org/W04-3250), so what is hard for both does not blur the difference.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from tqdm import tqdm

from evaluation.bootstrap import LEVEL, Interval, Verdict, affordable, differences, verdict
from evaluation.errors import InputError
from evaluation.item import Item
from evaluation.metric import Facts
from evaluation.reading import read_items, read_run
from evaluation.score import add_measuring_arguments, write_json
from evaluation.suite import Measured, measure, text_metrics
from evaluation.tables import table

HELP = "whether one file's replies are better than another's"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of two files; `difference` is the second minus the first."""

    facts: Facts
    first: float
    second: float
    difference: Interval

    @property
    def verdict(self) -> Verdict:
        """What the difference says of the second file."""
        return verdict(self.difference, self.facts.better)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program takes."""
    parser.add_argument("first", type=Path, help="replies, as for score")
    parser.add_argument("second", type=Path, help="other replies to the same turns")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    add_measuring_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print the table, and write the JSON where it is wanted. Raises InputError."""
    paths = (options.first, options.second)
    first, second = read_pair(paths, options)
    num_resamples = affordable(options.resamples, first.cost + second.cost)
    found = compare(first, second, num_resamples=num_resamples, seed=options.seed)
    sys.stdout.write(f"{show(paths, len(first.groups), found, num_resamples)}\n")
    if options.json is not None:
        write_json(options.json, as_json(paths, found))
    return 0


def read_pair(paths: tuple[Path, Path], options: argparse.Namespace) -> tuple[Measured, Measured]:
    """Both files taken in. Raises InputError where they do not answer the same turns."""
    _check_pairs(paths)
    first, second = (
        measure(
            tqdm(read_items(path), desc=path.name, leave=False, disable=None, delay=2),
            text_metrics(options.cut),
        )
        for path in paths
    )
    if not len(first.groups):
        raise InputError(f"{paths[0]} holds no reply: nothing to compare.")
    return first, second


def compare(
    first: Measured, second: Measured, *, num_resamples: int, seed: int
) -> list[Comparison]:
    """Every metric that both files have, and the differences with their intervals."""
    ones = np.ones(len(first.groups))
    both = [
        (metric.facts, one, other, (one(ones), other(ones)))
        for metric, one, other in zip(
            first.metrics, first.statistics, second.statistics, strict=True
        )
    ]
    known = [row for row in both if not np.isnan(row[3]).any()]
    found = differences(
        [(one, other) for _, one, other, _ in known],
        first.groups,
        num_resamples=num_resamples,
        seed=seed,
    )
    return [
        Comparison(facts, *values, difference)
        for (facts, _, _, values), difference in zip(known, found, strict=True)
    ]


def show(
    paths: Sequence[Path], num_items: int, found: Sequence[Comparison], num_resamples: int
) -> str:
    """The comparison for the terminal."""
    rows = [("", "first", "second", "difference", f"{LEVEL:.0%} interval", "second is")]
    rows += [
        (
            f"{one.facts.title}{f' ({one.facts.unit})' if one.facts.unit else ''}",
            one.facts.show(one.first),
            one.facts.show(one.second),
            signed(one.facts, one.difference.value),
            f"{signed(one.facts, one.difference.low)} – {signed(one.facts, one.difference.high)}",
            one.verdict.value,
        )
        for one in found
    ]
    counts = ", ".join(
        f"{sum(one.verdict is said for one in found)} {said.value}"
        for said in (Verdict.BETTER, Verdict.WORSE, Verdict.UNDECIDED)
    )
    lines = [
        f"first   {_told(paths[0])}",
        f"second  {_told(paths[1])}",
        f"{num_items:,} pairs of replies, {num_resamples} paired bootstrap resamples",
    ]
    return "\n".join([*lines, "", table(rows), "", f"The second is {counts}."])


def as_json(paths: Sequence[Path], found: Sequence[Comparison]) -> Mapping[str, object]:
    """The comparison for programs: shares from 0 to 1."""
    return {
        "first": {"file": paths[0].name, "run": read_run(paths[0])},
        "second": {"file": paths[1].name, "run": read_run(paths[1])},
        "metrics": {
            one.facts.name: {
                "first": one.first,
                "second": one.second,
                "difference": one.difference.value,
                "low": one.difference.low,
                "high": one.difference.high,
                "second_is": one.verdict.value,
            }
            for one in found
        },
    }


def are_pairs(first: Path, second: Path) -> bool:
    """Whether both files answer the same turns, in the same order."""
    try:
        _check_pairs((first, second))
    except InputError:
        return False
    return True


def _check_pairs(paths: tuple[Path, Path]) -> None:
    for number, (one, other) in enumerate(_pairs(paths), start=1):
        if one is None or other is None:
            shorter = paths[0] if one is None else paths[1]
            raise InputError(
                f"{shorter} has only {number - 1} replies, the other file has more: let "
                "`generate` finish it, or make both from the same dialogues."
            )
        if None not in (one.said, other.said) and one.said != other.said:
            raise InputError(
                f"Reply {number} answers “{_cut(one.said)}” in {paths[0]} and "
                f"“{_cut(other.said)}” in {paths[1]}: make both from the same dialogues."
            )


def _pairs(paths: tuple[Path, Path]) -> Iterator[tuple[Item | None, Item | None]]:
    return zip_longest(read_items(paths[0]), read_items(paths[1]))


def _cut(text: str | None) -> str:
    return (text or "")[:60]


def signed(facts: Facts, value: float) -> str:
    """A difference as people read it, with its sign."""
    shown = facts.show(value)
    if not any(digit in "123456789" for digit in shown):
        return shown.lstrip("-")  # nothing that is seen
    return f"+{shown}" if value > 0 else shown


def _told(path: Path) -> str:
    about = read_run(path)
    return f"{path.name} ({about['name']})" if "name" in about else path.name
