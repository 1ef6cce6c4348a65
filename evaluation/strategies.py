"""`python -m evaluation strategies MODEL DIALOGUES --out FOLDER`: ways of decoding, side by side.

Every strategy answers the same dialogues as `generate` would, into a file of its own in FOLDER;
then one report compares them with the first. Run again, it goes on where it was interrupted.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bot.dialogue.sampling import PRESETS
from evaluation import generate, report
from evaluation.errors import InputError
from evaluation.options import at_least

HELP = "ways of decoding side by side: files of replies and a report"

# Nothing but what a strategy names: no penalty, no ban.
_PLAIN = ("--set", "repetition_penalty=1", "--set", "no_repeat_ngram_size=0")
_ALL_WORDS = ("--set", "temperature=1", "--set", "top_k=0", "--set", "top_p=1")
_OFF = ("--guards", "off")
_CANDIDATES = ("--preset", "balanced", "--set", "num_candidates=8")

STRATEGIES: Mapping[str, tuple[str, ...]] = {
    "balanced": ("--preset", "balanced"),
    "balanced, guards off": ("--preset", "balanced", *_OFF),
    "greedy": (*_OFF, *_PLAIN, "--set", "temperature=0.1", "--set", "top_k=1"),
    "beam 4": (*_OFF, "--beams", "4"),
    "top-k 50": (*_OFF, *_PLAIN, *_ALL_WORDS, "--set", "top_k=50"),
    "top-p 0.9": (*_OFF, *_PLAIN, *_ALL_WORDS, "--set", "top_p=0.9"),
    "min-p 0.1": (*_OFF, *_PLAIN, *_ALL_WORDS, "--set", "min_p=0.1"),
    **{name: ("--preset", name) for name in PRESETS if name != "balanced"},
    "8 candidates, likelihood": (*_CANDIDATES, "--rank", "likelihood"),
    "8 candidates, MMI": (*_CANDIDATES, "--rank", "mmi"),
}
_REVERSE = "8 candidates, MMI with a reverse model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program takes."""
    parser.add_argument("model", help="a folder, a hub id that was fetched, or embedded")
    parser.add_argument("dialogues", type=Path, help='objects {"turns": ["…", "…"]}, one a line')
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="goes on there")
    parser.add_argument("--limit", type=at_least(0), metavar="N", help="only the first N dialogues")
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--reverse-model", help="one strategy more: MMI with this model")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help=f"these instead of all: {'; '.join(STRATEGIES)}",
    )


def run(options: argparse.Namespace) -> int:
    """Answer the dialogues in every way and write the report. Raises InputError and ChatError."""
    files = []
    for name, arguments in _chosen(options).items():
        path = options.out / f"{_file_name(name)}.jsonl"
        sys.stderr.write(f"{name}\n")
        generate.run(
            _parse(generate.add_arguments, [*_common(options, path), "--name", name, *arguments])
        )
        files.append(str(path))
    title = f"{options.model} on {options.dialogues.name}: ways of decoding"
    return report.run(
        _parse(report.add_arguments, [*files, "--out", str(options.out), "--title", title])
    )


def _chosen(options: argparse.Namespace) -> Mapping[str, tuple[str, ...]]:
    known = dict(STRATEGIES)
    if options.reverse_model:
        known[_REVERSE] = (*_CANDIDATES, "--rank", "mmi", "--reverse-model", options.reverse_model)
    if not options.only:
        return known
    unknown = [name for name in options.only if name not in known]
    if unknown:
        raise InputError(f"There is no strategy {unknown[0]}: choose of {'; '.join(known)}.")
    return {name: known[name] for name in options.only}


def _common(options: argparse.Namespace, path: Path) -> list[str]:
    common = [options.model, str(options.dialogues), "--out", str(path)]
    common += ["--seed", str(options.seed)]
    return common if options.limit is None else [*common, "--limit", str(options.limit)]


def _parse(
    add_arguments: Callable[[argparse.ArgumentParser], None], words: Sequence[str]
) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in name)
