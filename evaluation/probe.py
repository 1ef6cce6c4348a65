"""`python -m evaluation probe TASK MODEL [FILE]`: what a model knows, without letting it talk.

perplexity: of the bot's turns in FILE, a token and a word. last-word: how often it names the last
word of a passage (LAMBADA's task). few-shot: how much likelier replies become after example
exchanges. recall: how often it still knows what it was told; needs no FILE.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.engine.checkpoints.checkpoint import resolve_model
from bot.settings.settings import MODELS_FOLDER
from evaluation.bootstrap import LEVEL, NUM_RESAMPLES
from evaluation.errors import InputError
from evaluation.options import at_least
from evaluation.recall import RECALL
from evaluation.score import write_json
from evaluation.suite import Figure
from evaluation.tables import table

HELP = "what a model knows: perplexity, last words, examples, recall"
TASKS = ("perplexity", "last-word", "few-shot", RECALL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program takes."""
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("model", help="a folder, a hub id that was fetched, or embedded")
    parser.add_argument("file", type=Path, nargs="?", help="texts or dialogues, as for score")
    parser.add_argument(
        "--limit", type=at_least(1), default=500, metavar="N", help="of replies (500)"
    )
    parser.add_argument(
        "--examples",
        type=at_least(1),
        default=4,
        metavar="K",
        help="few-shot: 0, 1 and K exchanges (4)",
    )
    parser.add_argument("--revision", help="of a model from a hub")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--resamples", type=at_least(0), default=NUM_RESAMPLES, metavar="N")
    parser.add_argument("--seed", type=at_least(0), default=0)


def run(options: argparse.Namespace) -> int:
    """Print the figures. Raises InputError, and StartError where the model cannot be used."""
    folder = resolve_model(options.model, options.revision, MODELS_FOLDER)
    if options.task != RECALL and options.file is None:
        raise InputError(f"{options.task} needs a file: texts, one a line, or dialogues.")
    # imports torch and transformers (4 s), which the other programs do without
    from evaluation.probing import run_task  # noqa: PLC0415

    found = run_task(options, folder)
    sys.stdout.write(
        f"{options.task} of {options.model} ({found.revision}), n = {found.num_items:,}\n\n"
        f"{show(found.figures)}\n"
    )
    if options.json is not None:
        write_json(options.json, _as_json(options, found.figures, found.num_items, found.revision))
    return 0


def show(figures: Sequence[Figure]) -> str:
    """The figures for the terminal."""
    rows = [("", "value", f"{LEVEL:.0%} interval")]
    for one in figures:
        facts, interval = one.facts, one.interval
        title = f"{facts.title} ({facts.unit})" if facts.unit else facts.title
        limits = f"{facts.show(interval.low)} – {facts.show(interval.high)}"
        rows.append((title, facts.show(interval.value), limits))
    return table(rows)


def _as_json(
    options: argparse.Namespace, figures: Sequence[Figure], num_items: int, revision: str
) -> Mapping[str, object]:
    return {
        "task": options.task,
        "model": options.model,
        "revision": revision,
        "file": None if options.file is None else options.file.name,
        "num_items": num_items,
        "seed": options.seed,
        "metrics": {
            one.facts.name: {
                "value": one.interval.value,
                "low": one.interval.low,
                "high": one.interval.high,
                "better": one.facts.better.value,
            }
            for one in figures
        },
    }
