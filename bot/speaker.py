"""Finds a fit reply: context, engine, guards, and a ladder of further tries."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import isfinite
from operator import attrgetter

from bot.dialogue.context import Context, ContextBudget, build_context, fit_window
from bot.dialogue.guards import Candidate, Choice, Fault, choose
from bot.dialogue.prompt import Tokenizer, decode_reply
from bot.dialogue.reply import tidy
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role, Turn, Utterance
from bot.drafts import DraftStream, ShowDraft
from bot.engine.request import (
    Cancellation,
    Completion,
    Engine,
    EngineInfo,
    FinishReason,
    GenerationRequest,
)
from bot.errors import EngineMemoryError, NoFitReplyError
from bot.ports import Rejected, TokenizerThread

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ContextLimits:
    """The most that a context holds, the utterance included."""

    num_tokens: int
    num_turns: int

    def shorter(self) -> "ContextLimits":
        """Half of the tokens, and the last exchange with the utterance."""
        return ContextLimits(max(1, self.num_tokens // 2), min(3, self.num_turns))


@dataclass(frozen=True, slots=True)
class Asked:
    """One try at a reply. `deadline` is a moment of time.monotonic() in seconds."""

    said: Utterance
    turns: tuple[Turn, ...]
    params: SamplingParams
    deadline: float
    cancellation: Cancellation
    show: ShowDraft | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A fit reply and how it came about."""

    text: str
    completion: Completion
    context: Context
    params: SamplingParams
    tokenizer: str
    engine: EngineInfo
    rejected: tuple[Rejected, ...]


class Speaker:
    """Asks the engine until the guards are content. `deadline_seconds` bounds one reply.

    `is_blocked` finds words that are not said; None: all are.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        tokenizer: TokenizerThread,
        limits: ContextLimits,
        deadline_seconds: float,
        is_blocked: Callable[[str], bool] | None = None,
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._limits = limits
        self._deadline_seconds = deadline_seconds
        self._is_blocked = is_blocked

    async def answer(
        self,
        said: Utterance,
        turns: Sequence[Turn],
        params: SamplingParams,
        cancellation: Cancellation,
        show: ShowDraft | None = None,
    ) -> Answer:
        """Answer `said` after `turns` (oldest first); `show` watches a lone candidate grow.

        Unfit candidates are drawn again warmer, then from a shorter context. When the device's
        memory is full the context is made shorter, once.
        Raises NoFitReplyError when that does not help either, and EngineErrors.
        """
        deadline = time.monotonic() + self._deadline_seconds
        rejected: list[Rejected] = []
        is_memory_short = False
        judge = partial(
            _judge, said=said.text, own_turns=_own_texts(turns), is_blocked=self._is_blocked
        )
        for attempt, limits in self._ladder(params):
            asked = Asked(said, tuple(turns), attempt, deadline, cancellation, show)
            context, completions, is_memory_short = await self._complete(
                asked, limits, is_memory_short=is_memory_short
            )
            # In the tokenizer's thread: many long candidates take their time.
            candidates, choice = await self._tokenizer.run(partial(judge, completions))
            rejected += _rejected(candidates, choice)
            if choice.index is not None:
                return Answer(
                    text=candidates[choice.index].text,
                    completion=completions[choice.index],
                    context=context,
                    params=attempt,
                    tokenizer=await self._tokenizer.run(attrgetter("name")),
                    engine=self._engine.info,
                    rejected=tuple(rejected),
                )
        raise NoFitReplyError

    def forget(self) -> None:
        """Let the engine keep nothing of what was said until now."""
        self._engine.forget()

    def _ladder(self, params: SamplingParams) -> Iterator[tuple[SamplingParams, ContextLimits]]:
        """What to try in turn: as asked; warmer; warmer and from a shorter context."""
        yield params, self._limits
        yield params.warmer(), self._limits
        yield params.warmer(), self._limits.shorter()

    async def _complete(
        self, asked: Asked, limits: ContextLimits, *, is_memory_short: bool
    ) -> tuple[Context, list[Completion], bool]:
        """Run the model, and once more with less when the memory is full; whether it is."""
        if not is_memory_short:
            try:
                return *await self._generate(asked, limits), False
            except EngineMemoryError:
                logger.warning("The device's memory is full: trying a shorter context.")
        return *await self._generate(asked, limits.shorter()), True

    async def _generate(
        self, asked: Asked, limits: ContextLimits
    ) -> tuple[Context, list[Completion]]:
        num_tokens, _ = fit_window(
            self._engine.info.window, asked.params.max_new_tokens, limits.num_tokens
        )
        budget = ContextBudget(num_tokens, limits.num_turns)
        context = await self._tokenizer.run(
            partial(build_context, asked.turns, asked.said.text, budget)
        )
        scope = asked.said.scope
        request = GenerationRequest(
            prompt_ids=context.prompt_ids,
            params=asked.params,
            own_ids=context.own_ids,
            sequence_key=f"{scope.channel_id}/{scope.user_id or 0}",
            group_key=asked.said.guild_id or scope.channel_id,
            user_id=asked.said.author_id,
            deadline=asked.deadline,
            cancellation=asked.cancellation,
        )
        if asked.show is None or asked.params.num_candidates > 1:
            return context, await self._engine.generate(request)
        drafts = DraftStream(self._tokenizer, asked.show, self._is_blocked)
        try:
            return context, await self._engine.generate(replace(request, on_token=drafts.add))
        finally:
            await drafts.close()


def _judge(
    completions: Sequence[Completion],
    tokenizer: Tokenizer,
    said: str,
    own_turns: Sequence[str],
    is_blocked: Callable[[str], bool] | None,
) -> tuple[list[Candidate], Choice]:
    """The completions as candidates, and which of them is the best fit one."""
    candidates = [
        Candidate(
            tidy(
                decode_reply(completion.ids, tokenizer),
                cut_off=completion.finish_reason is FinishReason.LENGTH,
            ),
            completion.logprobs,
        )
        for completion in completions
    ]
    return candidates, choose(candidates, said, own_turns, is_blocked)


def _own_texts(turns: Sequence[Turn]) -> list[str]:
    """What the bot said before, also where a short context does not hold it."""
    return [turn.text for turn in turns if turn.role is Role.BOT]


def _rejected(candidates: Sequence[Candidate], choice: Choice) -> list[Rejected]:
    """Every candidate but the chosen one, with its fault and its mean log-probability."""
    return [
        Rejected(
            candidate.text,
            _scores(candidate, fault),
        )
        for index, (candidate, fault) in enumerate(zip(candidates, choice.faults, strict=True))
        if index != choice.index
    ]


def _scores(candidate: Candidate, fault: Fault | None) -> dict[str, float | str]:
    scores: dict[str, float | str] = {"fault": fault.value} if fault else {}
    if isfinite(candidate.mean_logprob):
        scores["mean_logprob"] = candidate.mean_logprob
    return scores
