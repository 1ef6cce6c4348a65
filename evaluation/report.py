"""`python -m evaluation report FILE… --out FOLDER`: models or settings side by side, on a page.

Writes `index.html`, which needs nothing else, and a PNG of every metric. Runs that answer the
same turns as the first file are compared with it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from evaluation.bootstrap import affordable
from evaluation.compare import Comparison, are_pairs, compare
from evaluation.errors import InputError
from evaluation.item import Item
from evaluation.page import PEOPLE_HERE, Page, render
from evaluation.people import people_items
from evaluation.plots import DARK, LIGHT, draw
from evaluation.published import target_of
from evaluation.reading import Row, read_items, read_run
from evaluation.score import add_measuring_arguments
from evaluation.suite import Measured, Scores, measure, score, text_metrics

HELP = "a page with tables and pictures of several runs"
_NUM_SAMPLED_REPLIES = 24


@dataclass(frozen=True, slots=True)
class Run:
    """A file of replies, measured."""

    name: str
    path: Path
    about: Row
    measured: Measured
    scores: Scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program takes."""
    parser.add_argument("files", type=Path, nargs="+", help="replies, as for score")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--title", default="Replies, measured")
    add_measuring_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write the page and the pictures. Raises InputError."""
    runs = [_measured(path, options) for path in options.files]
    _check_names(runs)
    figures = {one.name: one.scores for one in runs}
    people = _people(options)
    if people is not None:
        figures[PEOPLE_HERE] = people
    pictures = draw_all(figures)
    page = Page(
        title=options.title,
        figures=figures,
        comparisons=_comparisons(runs, options),
        pictures=pictures,
        about={one.name: one.about for one in runs},
        samples=_samples(runs),
    )
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            for look, png in picture.items():
                (options.out / f"{name}-{look}.png").write_bytes(png)
        (options.out / "index.html").write_text(render(page), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{options.out} cannot be written: {error.strerror}.") from error
    sys.stdout.write(f"{options.out / 'index.html'}: {len(runs)} runs, {len(pictures)} pictures\n")
    return 0


def draw_all(figures: dict[str, Scores]) -> dict[str, dict[str, bytes]]:
    """PNGs by metric and look, of what any of the runs has."""
    facts = {one.facts.name: one.facts for scores in figures.values() for one in scores.figures}
    first = next(iter(figures.values()))
    pictures = {}
    for name, fact in facts.items():
        known = {
            run_name: scores.by_name()[name].interval
            for run_name, scores in figures.items()
            if name in scores.by_name()
        }
        marks = first.people_of(name), target_of(name)
        pictures[name] = {look.name: draw(fact, known, *marks, look) for look in (LIGHT, DARK)}
    return pictures


def _measured(path: Path, options: argparse.Namespace) -> Run:
    measured = measure(read_items(path), text_metrics(options.cut))
    if not len(measured.groups):
        raise InputError(f"{path} holds no reply: nothing to report.")
    about = read_run(path)
    return Run(
        name=str(about.get("name", path.stem)),
        path=path,
        about=about,
        measured=measured,
        scores=score(measured, num_resamples=options.resamples, seed=options.seed),
    )


def _people(options: argparse.Namespace) -> Scores | None:
    """People's replies to the turns of the first file, if it has them."""
    measured = measure(people_items(options.files[0]), text_metrics(options.cut))
    if not len(measured.groups):
        return None
    return score(measured, num_resamples=options.resamples, seed=options.seed)


def _check_names(runs: Sequence[Run]) -> None:
    names = [one.name for one in runs]
    for one in runs:
        if names.count(one.name) > 1:
            raise InputError(
                f"Two runs are called {one.name}: give `generate` a --name, or name the files "
                "differently."
            )


def _comparisons(
    runs: Sequence[Run], options: argparse.Namespace
) -> dict[str, Sequence[Comparison]]:
    """Of each run that answers the same turns as the first one, by name."""
    first = runs[0]
    found: dict[str, Sequence[Comparison]] = {}
    for other in runs[1:]:
        if are_pairs(first.path, other.path):
            cost = first.measured.cost + other.measured.cost
            found[other.name] = compare(
                first.measured,
                other.measured,
                num_resamples=affordable(options.resamples, cost),
                seed=options.seed,
            )
    return found


def _samples(runs: Sequence[Run]) -> list[list[tuple[Item, ...]]]:
    """The first dialogues, a row an exchange: its reply in each run; of runs that are pairs."""
    alike = [one for one in runs if one is runs[0] or are_pairs(runs[0].path, one.path)]
    if len(alike) < len(runs):
        alike = alike[:1]
    samples: list[list[tuple[Item, ...]]] = []
    rows = zip(*(read_items(one.path) for one in alike), strict=True)
    for row in islice(rows, _NUM_SAMPLED_REPLIES):
        if not samples or samples[-1][0][0].group != row[0].group:
            samples.append([])
        samples[-1].append(row)
    return samples
