"""The tasks of `probe`. Importing this module imports torch and transformers (4 s)."""

import argparse
import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import log
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from bot.dialogue.prompt import encode_turn
from evaluation.bootstrap import differences
from evaluation.errors import InputError
from evaluation.few_shot import examples_for, perplexity_after, read_with_examples
from evaluation.item import Item
from evaluation.last_word import last_word
from evaluation.likelihood import Reader
from evaluation.metric import Better, Facts, Share, Statistic
from evaluation.passages import prompt_of
from evaluation.perplexity import perplexity_per_token, perplexity_per_word
from evaluation.reader import ModelReader
from evaluation.reading import read_items
from evaluation.recall import RECALL, recall_rates
from evaluation.suite import Figure, Measured, measure, score
from evaluation.voices import weights_hash

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Findings:
    """What a task found."""

    figures: tuple[Figure, ...]
    num_items: int
    revision: str


def run_task(options: argparse.Namespace, folder: Path) -> Findings:
    """The findings of the task that `options` name. Raises InputError and StartError."""
    if options.task == RECALL:
        return _recall(options, folder)
    items = list(islice(read_items(options.file), options.limit))
    if not items:
        raise InputError(f"{options.file} holds no reply: nothing to read.")
    reader = ModelReader(folder, device=options.device, dtype=options.dtype)
    tasks: dict[str, Callable[[], tuple[Measured, Sequence[Figure]]]] = {
        "perplexity": lambda: (measure_perplexity(reader, _bar(items)), ()),
        "last-word": lambda: (measure(_bar(items), [last_word(reader)]), ()),
        "few-shot": lambda: _few_shot(options, reader, items),
    }
    measured, more = tasks[options.task]()
    scores = score(measured, num_resamples=options.resamples, seed=options.seed)
    if not scores.figures:
        raise InputError(f"Nothing in {options.file} suits this task: the replies are too short.")
    revision = reader.revision or weights_hash(folder)
    return Findings((*scores.figures, *more), scores.num_items, revision)


def measure_perplexity(reader: Reader, items: Iterable[Item]) -> Measured:
    """The replies of `items` read by the model, each after what it answers."""
    return measure(
        (_read(reader, item) for item in items), [perplexity_per_token(), perplexity_per_word()]
    )


def _read(reader: Reader, item: Item) -> Item:
    wanted_ids = encode_turn(item.completion, reader.tokenizer)[: reader.window - 1]
    logprobs = reader.read(prompt_of(item, reader.tokenizer), wanted_ids).logprobs
    return replace(item, logprob=sum(logprobs), num_tokens=len(logprobs))


def _few_shot(
    options: argparse.Namespace, reader: Reader, items: Sequence[Item]
) -> tuple[Measured, Sequence[Figure]]:
    counts = sorted({0, 1, options.examples})
    columns = list(zip(*_read_all(reader, items, counts), strict=True))
    if not columns:
        raise InputError(
            "No reply fits the model's window with so many examples: lower --examples."
        )
    measured = [
        measure(column, [perplexity_after(count)])
        for count, column in zip(counts, columns, strict=True)
    ]
    together = replace(
        measured[0],
        metrics=tuple(one.metrics[0] for one in measured),
        statistics=tuple(one.statistics[0] for one in measured),
    )
    losses = [_log(statistic) for statistic in together.statistics]
    gains = differences(
        [(loss, losses[0]) for loss in losses[1:]],
        together.groups,
        num_resamples=options.resamples,
        seed=options.seed,
    )
    return together, [
        Figure(_gain_facts(count), gain) for count, gain in zip(counts[1:], gains, strict=True)
    ]


def _read_all(
    reader: Reader, items: Sequence[Item], counts: Sequence[int]
) -> Iterator[tuple[Item, ...]]:
    """Each reply read after so many examples, by count; those that fit with all of them."""
    for number in _bar(range(len(items))):
        examples = examples_for(items, number, max(counts))
        if items[number].said is None or len(examples) < max(counts):
            continue
        read = [
            read_with_examples(reader, items[number], examples[len(examples) - count :])
            for count in reversed(counts)
        ]
        whole = [item for item in reversed(read) if item is not None]
        if len(whole) == len(counts):
            yield tuple(whole)


def _gain_facts(count: int) -> Facts:
    title = f"Gain of {count} {'example' if count == 1 else 'examples'}"
    return Facts(f"gain_{count}_shot", title, Better.HIGHER, "nats a token", 3)


def _log(perplexity: Statistic) -> Statistic:
    return Statistic(lambda weights: log(perplexity(weights)), perplexity.draws)


def _recall(options: argparse.Namespace, folder: Path) -> Findings:
    rates = asyncio.run(recall_rates(folder, num_probes=options.limit, seed=options.seed))
    figures: list[Figure] = []
    for title, rate in rates:
        facts = Facts(title.replace(" ", "_"), title, Better.HIGHER, "%", 1)
        hits = Share(facts, lambda item: (bool(item.completion), 1))
        items = [Item("x" * (i < rate.num_hits), group=i) for i in range(rate.num_all)]
        measured = measure(items, [hits])
        figures += score(measured, num_resamples=options.resamples, seed=options.seed).figures
    return Findings(tuple(figures), options.limit, weights_hash(folder))


def _bar(things: Iterable[T]) -> Iterable[T]:
    return tqdm(things, leave=False, disable=None)
