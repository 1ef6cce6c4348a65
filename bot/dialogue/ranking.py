"""Which of several fit candidates is the best: what the models say of each.

A model left alone finds dull replies likeliest, since they fit everything. Likelihood is
therefore held against how likely a reply is without what was said (MMI-antiLM: Li et al. 2016,
https://arxiv.org/abs/1510.03055, section 4.1), and, where there is a reverse model, joined with
how likely it makes what was said (MMI-bidi: the same, 4.2; Zhang et al. 2020,
https://arxiv.org/abs/1911.00536, section 3.2). All of it per token, unlike there, so that
candidates of any length compare. The first words of any reply are its least likely ones after
nothing, so the anti-LM term alone would choose short ones: length is rewarded, as there, though
by its logarithm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

Logprobs = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """What each term counts beside the likelihood's 1; docs/decoding.md has the figures.

    `antilm` and `reverse` weigh nats a token, `length` the logarithm of the number of tokens.
    """

    antilm: float = 0.75
    reverse: float = 1.0
    length: float = 0.75


WEIGHTS = Weights()
LIKELIHOOD_ALONE = Weights(antilm=0.0, reverse=0.0, length=0.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A completion considered as a reply: its tidied text, and what the models thought of it.

    Natural logarithms, a number a token: `logprobs` of the reply after its context, `alone` of
    the reply after nothing, `back` of what was said after the reply. Empty: not asked.
    """

    text: str
    logprobs: Logprobs
    alone: Logprobs = ()
    back: Logprobs = ()

    @property
    def mean_logprob(self) -> float:
        """Mean log-probability of a token; minus infinity where it is unknown or not a number."""
        return _mean(self.logprobs)


@dataclass(frozen=True, slots=True)
class Features:
    """What the ranking knows of a candidate; a likelihood is nats a token, None: not known."""

    likelihood: float
    alone: float | None = None
    back: float | None = None
    num_tokens: int = 1


SomeFeatures = TypeVar("SomeFeatures", bound=Features)


@dataclass(frozen=True, slots=True)
class Ranked:
    """The place of a candidate among those that were ranked, from 0, and why it stands there."""

    index: int
    features: Features
    score: float


def rank(candidates: Sequence[Candidate], weights: Weights = WEIGHTS) -> list[Ranked]:
    """The candidates, best first; among equals the first one.

    A likelihood that one of them lacks counts for none.
    """
    found = comparable([features_of(candidate) for candidate in candidates])
    ranked = [Ranked(i, one, score(one, weights)) for i, one in enumerate(found)]
    return sorted(ranked, key=lambda one: -one.score)


def score(features: Features, weights: Weights) -> float:
    """How good a candidate is; compares only with those for the same answer."""
    return (
        features.likelihood
        - weights.antilm * (features.alone or 0.0)
        + weights.reverse * (features.back or 0.0)
        + weights.length * math.log(features.num_tokens)
    )


def features_of(candidate: Candidate) -> Features:
    """What the likelihoods of a candidate say of it."""
    return Features(
        likelihood=candidate.mean_logprob,
        alone=_finite(_mean(candidate.alone)),
        back=_finite(_mean(candidate.back)),
        num_tokens=max(1, len(candidate.logprobs)),
    )


def comparable(found: Sequence[SomeFeatures]) -> list[SomeFeatures]:
    """`found` without the likelihoods that one of them lacks: it would win or lose by that."""
    if any(one.alone is None for one in found):
        found = [replace(one, alone=None) for one in found]
    if any(one.back is None for one in found):
        found = [replace(one, back=None) for one in found]
    return list(found)


def _mean(logprobs: Logprobs) -> float:
    if not logprobs:
        return -math.inf
    mean = sum(logprobs) / len(logprobs)
    return -math.inf if math.isnan(mean) else mean


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
