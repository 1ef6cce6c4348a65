"""Every metric that needs no model, over the replies of a file, with intervals."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bot.dialogue.text import is_blank
from evaluation.bleu import Bleu
from evaluation.blocked import blocked
from evaluation.bootstrap import Groups, Interval, affordable, group_numbers, intervals
from evaluation.distinct import Distinct
from evaluation.echo import echo
from evaluation.empty import empty
from evaluation.entropy import Entropy
from evaluation.fallback import fallback
from evaluation.generic import generic
from evaluation.history_rep4 import history_rep4
from evaluation.item import Item
from evaluation.latency import latency
from evaluation.length import length
from evaluation.meteor import Meteor
from evaluation.metric import Facts, Metric, Share, Statistic
from evaluation.nist import Nist
from evaluation.perplexity import perplexity_per_token, perplexity_per_word
from evaluation.published import people_of
from evaluation.rep4 import rep4
from evaluation.self_repetition import self_repetition
from evaluation.words import Cut, Tokenize, word_tokenizer


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric's value with its interval."""

    facts: Facts
    interval: Interval


@dataclass(frozen=True, slots=True)
class Scores:
    """What the replies of one file are like.

    `num_references`: the fewest and the most that a reply has. `signature` is BLEU's.
    """

    num_items: int
    num_empty: int
    num_fallbacks: int
    num_groups: int
    num_references: tuple[int, int]
    num_resamples: int
    signature: str
    figures: tuple[Figure, ...]

    def by_name(self) -> Mapping[str, Figure]:
        """The figures by the names of their metrics."""
        return {figure.facts.name: figure for figure in self.figures}

    def people_of(self, name: str) -> tuple[float, float] | None:
        """What people's replies elsewhere have of a metric, as far as it compares with these."""
        return people_of(name, num_replies=self.num_items, num_references=self.num_references[0])


@dataclass(frozen=True, slots=True)
class Measured:
    """A file's replies taken in: what intervals and comparisons are computed from."""

    metrics: tuple[Metric, ...]
    statistics: tuple[Statistic, ...]
    groups: Groups
    num_empty: int
    num_fallbacks: int
    num_references: tuple[int, int]

    @property
    def signature(self) -> str:
        """BLEU's; "" without references."""
        orders = [metric for metric in self.metrics if isinstance(metric, Bleu)]
        return orders[-1].signature if orders else ""

    @property
    def cost(self) -> int:
        """How many numbers one draw goes through."""
        return sum(metric.cost for metric in self.metrics)


def text_metrics(cut: Cut) -> list[Metric]:
    """The metrics that need the replies only, and references where there are any."""
    tokenize = _late(lambda: word_tokenizer(cut))
    return [
        length(),
        Distinct(1),
        Distinct(2),
        Entropy(4),
        generic(),
        rep4(),
        history_rep4(),
        self_repetition(),
        echo(),
        empty(),
        fallback(),
        blocked(),
        perplexity_per_token(),
        perplexity_per_word(),
        latency(),
        Bleu(2, tokenize),
        Bleu(4, tokenize),
        Nist(2, tokenize),
        Nist(4, tokenize),
        Meteor(tokenize),
    ]


def measure(items: Iterable[Item], metrics: Sequence[Metric]) -> Measured:
    """Take the replies in, each of them once."""
    groups: list[int] = []
    num_empty = num_fallbacks = 0
    fewest, most = 0, 0
    for item in items:
        fewest = len(item.references) if not groups else min(fewest, len(item.references))
        most = max(most, len(item.references))
        groups.append(item.group)
        num_empty += is_blank(item.completion)
        num_fallbacks += item.is_fallback
        for metric in metrics:
            metric.add(item)
    return Measured(
        tuple(metrics),
        tuple(metric.statistic() for metric in metrics),
        group_numbers(groups),
        num_empty,
        num_fallbacks,
        (fewest, most),
    )


def score(measured: Measured, *, num_resamples: int, seed: int) -> Scores:
    """The figures with their intervals; what cannot be measured here is left out."""
    ones = np.ones(len(measured.groups))
    known = [
        i
        for i, statistic in enumerate(measured.statistics)
        if len(ones) and not np.isnan(statistic(ones))
    ]
    num_resamples = affordable(num_resamples, measured.cost)
    found = intervals(
        [measured.statistics[i] for i in known],
        measured.groups,
        num_resamples=num_resamples,
        seed=seed,
    )
    return Scores(
        num_items=len(measured.groups),
        num_empty=measured.num_empty,
        num_fallbacks=measured.num_fallbacks,
        num_groups=int(measured.groups.max()) + 1 if len(measured.groups) else 0,
        num_references=measured.num_references,
        num_resamples=num_resamples,
        signature=measured.signature,
        figures=tuple(
            Figure(measured.metrics[i].facts, _not_too_sure(measured.metrics[i], interval))
            for i, interval in zip(known, found, strict=True)
        ),
    )


def _not_too_sure(metric: Metric, interval: Interval) -> Interval:
    """`interval` of a share from 0 to 1, and none of n does not mean that there are none.

    No draw of replies without a hit has one, so the bootstrap would be sure: the rule of three.
    """
    if metric.facts.unit != "%":
        return interval
    if not interval.value and isinstance(metric, Share):
        return replace(interval, high=min(1.0, 3 / metric.num_judged))
    return replace(interval, low=max(0.0, interval.low), high=min(1.0, interval.high))


def _late(make: Callable[[], Tokenize]) -> Tokenize:
    """A tokenizer that is made when it is first used: without references it never is."""
    made: list[Tokenize] = []

    def tokenize(text: str) -> list[str]:
        if not made:
            made.append(make())
        return made[0](text)

    return tokenize
