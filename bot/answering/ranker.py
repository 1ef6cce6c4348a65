"""Judges what the engine made: the guards first, then the ranking of those that are fit.

Likelihoods beside the reply's own are asked of the models only where there is a choice, so one
candidate costs nothing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite

from bot.answering.ports import Rejected, Scores
from bot.dialogue.guards import Fault, IsBlocked, find_fault
from bot.dialogue.prompt import Tokenizer, after_nothing, decode_reply, encode_turn
from bot.dialogue.ranking import WEIGHTS, Candidate, Logprobs, Ranked, Weights, rank
from bot.dialogue.reply import tidy
from bot.engine.protocol import (
    Cancellation,
    Completion,
    Engine,
    FinishReason,
    Passage,
    TokenizerThread,
)
from bot.errors import EngineError, WithdrawnError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What candidates answer. `own_turns`: what the bot said before, oldest first.

    `questions`: what each of them was said to, empty where it is not known.
    `deadline` is a moment of time.monotonic() in seconds.
    """

    said: str
    own_turns: tuple[str, ...]
    deadline: float
    cancellation: Cancellation
    questions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The best fit candidate: its place among the completions, its text and its scores."""

    index: int
    text: str
    scores: Scores


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome for all candidates. `chosen` None: none is fit.

    `rejected`: the others, the best of them first and those that are unfit last.
    """

    chosen: Chosen | None
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Completions as the tokenizer read them, each with its fault, and what scoring needs."""

    candidates: tuple[Candidate, ...]
    faults: tuple[Fault | None, ...]
    said_ids: tuple[int, ...]
    start_ids: tuple[int, ...]
    nothing_ids: tuple[int, ...]
    end_id: int

    @property
    def fit(self) -> list[int]:
        """The places of the candidates that may be said."""
        return [i for i, fault in enumerate(self.faults) if fault is None]


class Ranker:
    """Chooses among completions. `engine` says how likely a reply is after nothing.

    `reverse` is a model that reads newest turn first, of the same vocabulary; None: there is
    none. `is_blocked` finds words that are not said; None: all are.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        tokenizer: TokenizerThread,
        reverse: Engine | None = None,
        weights: Weights = WEIGHTS,
        is_blocked: IsBlocked | None = None,
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._reverse = reverse
        self._weights = weights
        self._is_blocked = is_blocked

    async def judge(self, completions: Sequence[Completion], occasion: Occasion) -> Judgement:
        """The best fit one of `completions`. Raises WithdrawnError where it was cancelled."""
        # In the tokenizer's thread: many long candidates take their time.
        decoded = await self._tokenizer.run(
            partial(_decode, completions, occasion, is_blocked=self._is_blocked)
        )
        fit = decoded.fit
        if len(fit) < 2:
            return _judgement(decoded, [(i, _scores(decoded.candidates[i])) for i in fit])
        if occasion.cancellation.cancelled:
            raise WithdrawnError
        candidates = await self._scored(completions, decoded, occasion)
        if occasion.cancellation.cancelled:
            raise WithdrawnError
        ranked = rank(candidates, self._weights)
        return _judgement(decoded, [(fit[one.index], _ranked_scores(one)) for one in ranked])

    async def _scored(
        self, completions: Sequence[Completion], decoded: _Decoded, occasion: Occasion
    ) -> list[Candidate]:
        """The fit candidates with the likelihoods that the weights ask for."""
        fit = [completions[i] for i in decoded.fit]
        seconds = max(0.0, occasion.deadline - time.monotonic())
        alone, back = await asyncio.gather(
            _in_time(self._alone(fit, decoded), "their likelihood alone", seconds, len(fit)),
            _in_time(self._back(fit, decoded), "the reverse model", seconds, len(fit)),
        )
        return [
            replace(decoded.candidates[i], alone=alone[number], back=back[number])
            for number, i in enumerate(decoded.fit)
        ]

    async def _alone(self, fit: Sequence[Completion], decoded: _Decoded) -> list[Logprobs]:
        if not self._weights.antilm:
            return [()] * len(fit)
        # with the end that the model drew: a chat model ends turns with another than its texts
        passages = [Passage(decoded.nothing_ids, _ended(one, one.end_id)) for one in fit]
        return await self._engine.score(passages)

    async def _back(self, fit: Sequence[Completion], decoded: _Decoded) -> list[Logprobs]:
        if self._reverse is None or not self._weights.reverse:
            return [()] * len(fit)
        turns = [_ended(one, decoded.end_id) for one in fit]
        window = self._reverse.info.window
        passages = back_passages(turns, decoded.said_ids, window, decoded.start_ids)
        return await self._reverse.score(passages)


def back_passages(
    replies: Sequence[tuple[int, ...]],
    said_ids: tuple[int, ...],
    window: int,
    start_ids: tuple[int, ...] = (),
) -> list[Passage]:
    """What a reverse model is asked: what was said after each reply, newest turn first.

    `said_ids` and `replies` end with end-of-text. Of a reply that is longer than half of the
    window its end counts; of what was said as much of its beginning as fits beside every reply.
    """
    prompts = [(*start_ids, *ids[-(window // 2) :]) for ids in replies]
    room = window - max(map(len, prompts))
    return [Passage(prompt, said_ids[:room]) for prompt in prompts]


async def _in_time(
    scoring: Awaitable[list[Logprobs]], term: str, seconds: float, count: int
) -> list[Logprobs]:
    """What is scored within `seconds`; where it fails nothing for each, and the log says so."""
    try:
        async with asyncio.timeout(seconds):
            return await scoring
    except (EngineError, TimeoutError) as error:
        logger.warning(
            "%d candidates are ranked without %s: %s.", count, term, type(error).__name__
        )
        return [()] * count


def _decode(
    completions: Sequence[Completion],
    occasion: Occasion,
    tokenizer: Tokenizer,
    is_blocked: IsBlocked | None,
) -> _Decoded:
    texts = [
        tidy(decode_reply(one.ids, tokenizer), cut_off=one.finish_reason is FinishReason.LENGTH)
        for one in completions
    ]
    candidates = tuple(map(Candidate, texts, (one.logprobs for one in completions)))
    faults = tuple(
        find_fault(text, occasion.said, occasion.own_turns, is_blocked, occasion.questions)
        for text in texts
    )
    said_ids = encode_turn(occasion.said, tokenizer) if len(completions) > 1 else ()
    return _Decoded(
        candidates,
        faults,
        tuple(said_ids),
        start_ids=tokenizer.start_ids,
        nothing_ids=after_nothing(tokenizer),
        end_id=tokenizer.end_of_text_id,
    )


def _ended(completion: Completion, end_id: int | None) -> tuple[int, ...]:
    """The ids of a turn, with `end_id` where the model ended it."""
    if completion.finish_reason is FinishReason.STOP and end_id is not None:
        return (*completion.ids, end_id)
    return completion.ids


def _judgement(decoded: _Decoded, fit: Sequence[tuple[int, Scores]]) -> Judgement:
    """`fit`: the places of the fit candidates and their scores, best first."""
    unfit = [
        Rejected(candidate.text, {"fault": fault.value, **_scores(candidate)})
        for candidate, fault in zip(decoded.candidates, decoded.faults, strict=True)
        if fault is not None
    ]
    if not fit:
        return Judgement(None, tuple(unfit))
    (best, scores), *others = fit
    beaten = [Rejected(decoded.candidates[i].text, scores) for i, scores in others]
    return Judgement(Chosen(best, decoded.candidates[best].text, scores), (*beaten, *unfit))


def _scores(candidate: Candidate) -> dict[str, float | str]:
    mean = candidate.mean_logprob
    return {"mean_logprob": mean} if isfinite(mean) else {}


def _ranked_scores(ranked: Ranked) -> Mapping[str, float | str]:
    features = ranked.features
    known = {
        "mean_logprob": features.likelihood,
        "mean_logprob_alone": features.alone,
        "mean_logprob_back": features.back,
        "num_tokens": features.num_tokens,
        "score": ranked.score,
    }
    return {name: value for name, value in known.items() if value is not None and isfinite(value)}
