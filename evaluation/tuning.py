"""The figures of every setting of the ranking's weights, from features that are computed once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from functools import cached_property
from itertools import product
from math import log

import numpy as np

from evaluation.distinct import Distinct
from evaluation.entropy import Entropy
from evaluation.item import Item
from evaluation.metric import Numbers
from evaluation.published import YARDSTICKS
from evaluation.terms import LIKELIHOOD_ALONE, Features, Weights
from evaluation.weighing import Case

GRID: Mapping[str, tuple[float, ...]] = {
    "antilm": (0.0, 0.25, 0.5, 0.75, 1.0, 1.25),
    "reverse": (0.0, 0.25, 0.5, 1.0, 2.0),
    "length": (0.0, 0.25, 0.5, 0.75, 1.0),
    "echo": (0.0, 0.5, 1.0, 2.0),
    "repetition": (0.0, 0.5, 1.0, 2.0),
    "in_reply": (0.0, 4.0),
}
_ECHO, _SELF_REPETITION = 0.5, 0.8  # as evaluation.echo and evaluation.self_repetition


@dataclass(frozen=True, slots=True)
class Figures:
    """What one setting does.

    Of people's answers among strangers': `hits`, the share where the true one comes first, and
    `reciprocal_rank`, the mean of 1 / its place. Of the candidates that it chooses: the metrics
    of those names, `nats` a token under the model, and `words` a reply.
    """

    hits: float
    reciprocal_rank: float
    distinct_2: float
    entropy_4: float
    meteor: float
    echo: float
    self_repetition: float
    rep4: float
    nats: float
    words: float


class Tuning:
    """Cases as arrays. `meteors`: of each drawn candidate of each case, against its answer."""

    def __init__(self, cases: Sequence[Case], meteors: Sequence[Sequence[float]]) -> None:
        self._people = np.array([[_terms(one) for one in case.people] for case in cases])
        self._cases = [case for case in cases if case.drawn]
        pairs = zip(cases, meteors, strict=True)
        self._meteors = [row for case, row in pairs if case.drawn]
        self._drawn = [
            np.array([_terms(one.features) for one in case.drawn]) for case in self._cases
        ]
        self._known: dict[tuple[int, ...], Mapping[str, float]] = {}

    @property
    def num_people(self) -> int:
        """Questions with a person's answer."""
        return len(self._people)

    @property
    def num_drawn(self) -> int:
        """Questions to which the model drew something fit."""
        return len(self._cases)

    def figures(self, weights: Weights) -> Figures:
        """What `weights` do."""
        signed = _signed(weights)
        scores = self._people @ signed
        places = 1 + (scores[:, 1:] >= scores[:, :1]).sum(axis=1)
        picks = tuple(int(np.argmax(rows @ signed)) for rows in self._drawn)
        return Figures(
            hits=float((places == 1).mean()),
            reciprocal_rank=float((1 / places).mean()),
            **self._of_picks(picks),
        )

    def by_chance(self, seed: int) -> Figures:
        """The figures of a choice by chance: what ranking is to be better than."""
        rng = np.random.default_rng(seed)
        picks = tuple(int(rng.integers(len(rows))) for rows in self._drawn)
        num_answers = self._people.shape[1]
        places = 1 / np.arange(1, num_answers + 1)
        return Figures(1 / num_answers, float(places.mean()), **self._of_picks(picks))

    def _of_picks(self, picks: tuple[int, ...]) -> Mapping[str, float]:
        if picks not in self._known:
            self._known[picks] = self._measured(picks)
        return self._known[picks]

    def _measured(self, picks: tuple[int, ...]) -> Mapping[str, float]:
        chosen = [case.drawn[i] for case, i in zip(self._cases, picks, strict=True)]
        features = [one.features for one in chosen]
        distinct, entropy = Distinct(2), Entropy(4)
        for one in chosen:
            distinct.add(Item(one.text))
            entropy.add(Item(one.text))
        ones = np.ones(len(chosen))
        lengths = np.array([len(one.text.split()) for one in chosen])
        fours = np.maximum(lengths - 3, 0)
        return {
            "distinct_2": distinct.statistic()(ones),
            "entropy_4": entropy.statistic()(ones),
            "meteor": float(np.mean([row[i] for row, i in zip(self._meteors, picks, strict=True)])),
            "echo": float(np.mean([one.echo >= _ECHO for one in features])),
            "self_repetition": float(
                np.mean([one.repetition >= _SELF_REPETITION for one in features])
            ),
            "rep4": float((fours * [one.in_reply for one in features]).sum() / max(1, fours.sum())),
            "nats": float(-np.mean([one.likelihood for one in features])),
            "words": float(lengths.mean()),
        }


@dataclass(frozen=True)
class Outcome:
    """The grid with its figures and the rule's choice; see evaluation.tune for the rule."""

    settings: Mapping[Weights, Figures]
    by_chance: Figures
    num_questions: int

    @cached_property
    def best(self) -> Weights:
        """The setting that the rule chooses."""
        alone = self.settings[LIKELIHOOD_ALONE]
        allowed = [
            (weights, figures)
            for weights, figures in self.settings.items()
            if is_allowed(figures, alone, self.by_chance)
        ] or [(LIKELIHOOD_ALONE, alone)]
        most = max(figures.hits for _, figures in allowed)
        error = (most * (1 - most) / self.num_questions) ** 0.5
        near = [(weights, one) for weights, one in allowed if one.hits >= most - error]
        return min(near, key=lambda pair: (sum(astuple(pair[0])), -pair[1].hits))[0]

    def along(self, name: str) -> Iterable[Weights]:
        """The settings that differ from the best in one weight only."""
        found = (replace(self.best, **{name: value}) for value in GRID[name])
        return [weights for weights in found if weights in self.settings]


def is_allowed(figures: Figures, alone: Figures, by_chance: Figures) -> bool:
    """Whether a setting pays for its hits with nothing; see evaluation.tune."""
    rates = ("echo", "self_repetition", "rep4")
    if any(getattr(figures, r) > max(_target(r), getattr(alone, r)) for r in rates):
        return False
    # NaN: too short to say
    is_duller = any(getattr(figures, n) < getattr(alone, n) for n in ("distinct_2", "entropy_4"))
    return not is_duller and figures.meteor >= alone.meteor and figures.nats <= by_chance.nats


def _target(name: str) -> float:
    target = YARDSTICKS[name].target
    return 0.0 if target is None else target


def grid(*, has_reverse: bool) -> list[Weights]:
    """Every setting; without a reverse model its weight means nothing."""
    axes = {**GRID, "reverse": GRID["reverse"] if has_reverse else (0.0,)}
    return [Weights(*values) for values in product(*(axes[one.name] for one in fields(Weights)))]


def _terms(features: Features) -> tuple[float, ...]:
    """The terms in the order of _signed."""
    return (
        features.likelihood,
        features.alone or 0.0,
        features.back or 0.0,
        log(features.num_tokens),
        features.echo,
        features.repetition,
        features.in_reply,
    )


def _signed(weights: Weights) -> Numbers:
    """What the terms are multiplied by, as in bot.dialogue.ranking.score."""
    return np.array(
        [
            1.0,
            -weights.antilm,
            weights.reverse,
            weights.length,
            -weights.echo,
            -weights.repetition,
            -weights.in_reply,
        ]
    )
