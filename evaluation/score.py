"""`python -m evaluation score FILE`: what the replies of a file are like."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from evaluation.bootstrap import LEVEL, NUM_RESAMPLES
from evaluation.errors import InputError
from evaluation.metric import Facts
from evaluation.options import at_least
from evaluation.published import target_of
from evaluation.reading import Row, read_items, read_run
from evaluation.suite import Scores, measure, score, text_metrics
from evaluation.tables import table
from evaluation.words import Cut

HELP = "figures of the replies in a file"
FORMATS = (
    'a reply a line, or an object a line: {"prompt": "…", "completion": "…"} or {"turns": ["…"]}, '
    'with "references": ["…"] if there are any'
)
_PEOPLE = (
    "People: what compares of 6,000 replies of people (DialoGPT's table) and of other collections."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program takes."""
    parser.add_argument("file", type=Path, help=FORMATS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--references",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a reference a line, for a file of plain text; may be given several times",
    )
    add_measuring_arguments(parser)


def add_measuring_arguments(parser: argparse.ArgumentParser) -> None:
    """What every program takes that measures."""
    parser.add_argument(
        "--cut",
        type=Cut,
        choices=[*Cut],
        default=Cut.DSTC,
        help="words for BLEU, NIST, METEOR: dstc compares with DialoGPT's, intl is for Korean",
    )
    parser.add_argument("--resamples", type=at_least(0), default=NUM_RESAMPLES, metavar="N")
    parser.add_argument("--seed", type=at_least(0), default=0, help="of the resamples")


def run(options: argparse.Namespace) -> int:
    """Print the table, and write the JSON where it is wanted. Raises InputError."""
    scores = score_file(options.file, options)
    about = read_run(options.file)
    sys.stdout.write(f"{show(options.file.name, about, scores)}\n")
    if options.json is not None:
        write_json(options.json, as_json(options.file.name, about, scores, options.seed))
    return 0


def score_file(path: Path, options: argparse.Namespace) -> Scores:
    """The figures of the file at `path`. Raises InputError."""
    items = read_items(path, getattr(options, "references", ()))
    counted = tqdm(items, desc=path.name, unit=" replies", leave=False, disable=None, delay=2)
    measured = measure(counted, text_metrics(options.cut))
    if not len(measured.groups):
        raise InputError(f"{path} holds no reply: nothing to score.")
    return score(measured, num_resamples=options.resamples, seed=options.seed)


def show(name: str, about: Row, scores: Scores) -> str:
    """The figures for the terminal, with where they come from."""
    rows = [("", "value", f"{LEVEL:.0%} interval", "people", "target")]
    for figure in scores.figures:
        facts, interval = figure.facts, figure.interval
        rows.append(
            (
                facts.title,
                _with_unit(facts, interval.value),
                f"{facts.show(interval.low)} – {facts.show(interval.high)}",
                *_yardsticks(facts, scores),
            )
        )
    return "\n".join([*_heading(name, about, scores), "", table(rows), "", *_notes(scores)])


def as_json(name: str, about: Row, scores: Scores, seed: int) -> Mapping[str, object]:
    """The figures for programs: shares from 0 to 1, entropy in nats."""
    return {
        "file": name,
        "run": about,
        "num_replies": scores.num_items,
        "num_dialogues": scores.num_groups,
        "num_empty": scores.num_empty,
        "num_fallbacks": scores.num_fallbacks,
        "num_references": {"min": scores.num_references[0], "max": scores.num_references[1]},
        "bleu_signature": scores.signature or None,
        "bootstrap": {"level": LEVEL, "num_resamples": scores.num_resamples, "seed": seed},
        "metrics": {
            figure.facts.name: {
                "value": figure.interval.value,
                "low": figure.interval.low,
                "high": figure.interval.high,
                "better": figure.facts.better.value,
            }
            for figure in scores.figures
        },
    }


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write `content` to the file at `path`. Raises InputError."""
    try:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def _heading(name: str, about: Row, scores: Scores) -> list[str]:
    fewest, most = scores.num_references
    references = "no references" if not most else f"{fewest} references each"
    if fewest != most:
        references = f"{fewest} to {most} references each"
    counts = f"{scores.num_items:,} replies in {scores.num_groups:,} dialogues"
    facts = " · ".join(f"{key} {_plain(value)}" for key, value in about.items())
    return [f"{name}: {counts}, {scores.num_empty:,} empty, {references}", *filter(None, [facts])]


def _notes(scores: Scores) -> list[str]:
    intervals = f"Intervals: {scores.num_resamples} bootstrap resamples of whole dialogues."
    notes = [intervals, _PEOPLE]
    if scores.signature:
        notes.append(f"BLEU: {scores.signature}")
    if scores.num_references[1] and "bleu_4" not in scores.by_name():
        notes.append("The references have no Latin letter: add --cut intl to compare with them.")
    return notes


def _yardsticks(facts: Facts, scores: Scores) -> tuple[str, str]:
    people, target = scores.people_of(facts.name), target_of(facts.name)
    limits = dict.fromkeys(map(facts.show, people or ()))  # one where both are the same
    return " – ".join(limits), "" if target is None else f"≤ {facts.show(target)}"


def _with_unit(facts: Facts, value: float) -> str:
    return f"{facts.show(value)} {facts.unit}".strip()


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    return str(value)
