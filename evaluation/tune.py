"""`python -m evaluation tune MODEL DIALOGUES`: choose the weights of the bot's ranking.

For N places in people's dialogues: (a) the person's true answer is ranked among 9 answers from
other dialogues: hits@1, and the mean of 1 / its place; (b) candidates that the model drew are
ranked, and those chosen are measured. The likelihoods are asked once, then every setting of a
grid is tried.

The rule: of the settings that pay nothing for it take the best hits@1; among those within one
standard error of it the one with the smallest sum of weights, since a difference that small is
chance (Breiman et al. 1984, Classification and Regression Trees, section 3.4.3). To pay nothing
means of the chosen replies: echo at most 2 %, self-repetition 1 %, rep-4 0.5 % (where likelihood
alone misses one of these, no worse than that); Distinct-2, Entropy-4 and METEOR not below
likelihood alone's; and no less likely under the model than candidates that are chosen by chance,
so that what is rare is not taken for what is good.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from tqdm import tqdm

from evaluation.errors import InputError
from evaluation.generate import add_sampling_arguments, exchanges_of, parse_params
from evaluation.meteor import meteor, porter
from evaluation.options import at_least
from evaluation.reading import read_dialogues
from evaluation.score import write_json
from evaluation.tables import table
from evaluation.terms import LIKELIHOOD_ALONE, WEIGHTS, Weights
from evaluation.tuning import GRID, Figures, Outcome, Tuning, grid
from evaluation.voices import open_model, profile_for
from evaluation.weighing import NUM_STRANGERS, Case, Question, Weigher, questions_of
from evaluation.words import Cut, word_tokenizer

HELP = "choose the weights of the ranking of several candidates"
NUM_CANDIDATES = 8  # --set num_candidates=N for another number
_HEADER = (
    *("antilm", "reverse", "length", "echo", "repet.", "in reply"),
    *("hits@1 %", "MRR %", "Distinct-2 %", "Entropy-4", "METEOR %", "echo %", "self-rep. %"),
    *("rep-4 %", "nats", "words"),
)


@dataclass(frozen=True, slots=True)
class Weighed:
    """Every case, and what spoke in it."""

    cases: tuple[Case, ...]
    revision: str
    reverse_revision: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the program takes."""
    parser.add_argument("model", help="a folder, a hub id that was fetched, or embedded")
    parser.add_argument("dialogues", type=Path, nargs="+", help="of people; validation only")
    parser.add_argument("--reverse-model", metavar="MODEL", help="as the setting REVERSE_MODEL")
    parser.add_argument(
        "--questions", type=at_least(1), default=300, metavar="N", help="of each file"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="every setting's figures, too")
    parser.add_argument("--cut", type=Cut, choices=[*Cut], default=Cut.DSTC, help="for METEOR")
    add_sampling_arguments(parser)
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--revision", help="of a model from a hub")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")


def run(options: argparse.Namespace) -> int:
    """Print the table. Raises InputError, and ChatError where the model fails."""
    questions = [question for path in options.dialogues for question in _read(path, options)]
    if not questions:
        raise InputError("The dialogues hold no answer to anything: nothing to tune by.")
    if min(len(question.strangers) for question in questions) < NUM_STRANGERS:
        raise InputError(
            f"Each answer is ranked among {NUM_STRANGERS} different ones from other dialogues, "
            "which a file has not: give files with more dialogues."
        )
    weighed = asyncio.run(_weigh(options, questions))
    tuning = Tuning(weighed.cases, _meteors(weighed.cases, options.cut))
    if not tuning.num_drawn:
        raise InputError("The model drew nothing fit: there is nothing to choose from.")
    settings = grid(has_reverse=options.reverse_model is not None)
    bar = tqdm(settings, desc="settings", leave=False, disable=None)
    by_chance = tuning.by_chance(options.seed)
    figures = {one: tuning.figures(one) for one in bar}
    outcome = Outcome(figures, by_chance, tuning.num_people)
    sys.stdout.write(f"{_heading(options, weighed, tuning)}\n\n{show(outcome)}\n")
    if options.json is not None:
        write_json(options.json, _as_json(weighed, outcome))
    return 0


def show(outcome: Outcome) -> str:
    """The best setting and its neighbours, one weight changed at a time."""
    best = outcome.best
    rows = [_HEADER, ("by chance", "", "", "", "", "", *_shown(outcome.by_chance))]
    rows += [_row(LIKELIHOOD_ALONE, outcome, "")]
    for name in GRID:
        for weights in outcome.along(name):
            if weights != best:
                rows.append(_row(weights, outcome, ""))
        rows.append(_row(best, outcome, "*"))
    chosen = ", ".join(f"{name} {value:g}" for name, value in asdict(best).items())
    return f"{table(rows)}\n\n* the rule's choice: {chosen}"


async def _weigh(options: argparse.Namespace, questions: Sequence[Question]) -> Weighed:
    settings = [f"num_candidates={NUM_CANDIDATES}", *options.set]
    profile = profile_for(options.model, options.revision)
    params = parse_params(options.preset, settings, profile)
    where = {"device": options.device, "dtype": options.dtype}
    async with open_model(
        options.model, options.revision, options.reverse_model, **where
    ) as opened:
        weigher = Weigher(opened, params)
        bar = tqdm(questions, desc="questions", leave=False, disable=None)
        cases = [
            await weigher.case(question, options.seed + number)
            for number, question in enumerate(bar)
        ]
        return Weighed(tuple(cases), opened.revision, opened.reverse_revision)


def _read(path: Path, options: argparse.Namespace) -> list[Question]:
    dialogues = [exchanges_of(turns) for turns in read_dialogues(path)]
    return questions_of(dialogues, options.questions, options.seed)


def _meteors(cases: Sequence[Case], cut: Cut) -> list[list[float]]:
    """METEOR of every drawn candidate against the person's answer."""
    tokenize, stem = word_tokenizer(cut), porter()
    return [
        [
            meteor(tokenize(one.text), tokenize(case.question.exchange.answer), stem)
            for one in case.drawn
        ]
        for case in cases
    ]


def _heading(options: argparse.Namespace, weighed: Weighed, tuning: Tuning) -> str:
    reverse = "no reverse model"
    if options.reverse_model is not None:
        reverse = f"reverse model {options.reverse_model} ({weighed.reverse_revision})"
    files = ", ".join(path.name for path in options.dialogues)
    num_candidates = sum(len(case.drawn) for case in weighed.cases)
    return (
        f"{options.model} ({weighed.revision}), {reverse}\n"
        f"{files}: {tuning.num_people} answers of people among {NUM_STRANGERS} others; "
        f"{num_candidates:,} fit candidates for {tuning.num_drawn} of them, seed {options.seed}"
    )


def _row(weights: Weights, outcome: Outcome, mark: str) -> tuple[str, ...]:
    names = {LIKELIHOOD_ALONE: "likelihood alone", WEIGHTS: "the defaults"}
    first, *others = (f"{value:g}" for value in astuple(weights))
    name = names.get(weights, "")
    label = " ".join(filter(None, (mark, name, first)))
    return (label, *others, *_shown(outcome.settings[weights]))


def _shown(figures: Figures) -> tuple[str, ...]:
    decimals = {"entropy_4": 2, "nats": 2, "words": 1}
    return tuple(
        f"{value:.{decimals[name]}f}" if name in decimals else f"{100 * value:.1f}"
        for name, value in asdict(figures).items()
    )


def _as_json(weighed: Weighed, outcome: Outcome) -> Mapping[str, object]:
    """Every setting for programs: shares from 0 to 1."""
    return {
        "revision": weighed.revision,
        "reverse_revision": weighed.reverse_revision,
        "best": asdict(outcome.best),
        "by_chance": asdict(outcome.by_chance),
        "settings": [
            {"weights": asdict(weights), **asdict(figures)}
            for weights, figures in outcome.settings.items()
        ],
    }
