"""Finds a fit reply: context, engine, judgement, and a ladder of further tries."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bot.answering.live_reply import LiveReply, ShowWords
from bot.answering.ports import Rejected, Scores
from bot.answering.ranker import Occasion, Ranker
from bot.dialogue.context import Context, ContextBudget, build_context, fit_window
from bot.dialogue.guards import IsBlocked
from bot.dialogue.ranking import WEIGHTS, Weights
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role, Turn, Utterance
from bot.engine.protocol import (
    Cancellation,
    Completion,
    Engine,
    EngineInfo,
    GenerationRequest,
    TokenizerThread,
)
from bot.errors import EngineMemoryError, NoFitReplyError

logger = logging.getLogger(__name__)

Stands = Callable[[], Awaitable[bool]]
UNLIKE_NGRAM_SIZE = SamplingParams().no_repeat_own_ngram_size


class OutdatedError(Exception):
    """Words of a request were erased or replaced: nothing more is made of them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One try at a reply. `deadline` is a moment of time.monotonic() in seconds.

    `num_erasures`: as in GenerationRequest. `stands` says before each run whether no word of it
    was erased or replaced since. `refused`: the tokens of what was made and is unfit.
    """

    said: Utterance
    turns: tuple[Turn, ...]
    params: SamplingParams
    deadline: float
    cancellation: Cancellation
    num_erasures: int
    show: ShowWords | None = None
    stands: Stands | None = None
    refused: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A fit reply and how it came about."""

    text: str
    completion: Completion
    context: Context
    params: SamplingParams
    engine: EngineInfo
    rejected: tuple[Rejected, ...]
    scores: Scores


class ReplyMaker:
    """Asks the engine until the guards are content. `deadline_seconds` bounds one reply.

    `is_blocked` finds words that are not said; None: all are. Several candidates are ranked by
    `weights`, and by the model `reverse` where there is one: see bot.answering.ranker.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        tokenizer: TokenizerThread,
        budget: ContextBudget,
        deadline_seconds: float,
        is_blocked: IsBlocked | None = None,
        reverse: Engine | None = None,
        weights: Weights = WEIGHTS,
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._budget = budget
        self._deadline_seconds = deadline_seconds
        self._is_blocked = is_blocked
        self._ranker = Ranker(
            engine=engine,
            tokenizer=tokenizer,
            reverse=reverse,
            weights=weights,
            is_blocked=is_blocked,
        )

    async def answer(
        self,
        said: Utterance,
        turns: Sequence[Turn],
        params: SamplingParams,
        cancellation: Cancellation,
        show: ShowWords | None = None,
        *,
        num_erasures: int = 0,
        num_replies: int = 0,
        stands: Stands | None = None,
    ) -> Answer:
        """Answer `said` after `turns` (oldest first); `show` watches a lone candidate grow.

        `num_erasures` and `stands`: as in Asked. `num_replies`: how many of the bot's turns are on
        the path, for the seed. Unfit candidates are drawn again warmer, then from a shorter
        context; without chance the next best is made, which repeats none of them. When the
        device's memory is full the context is made shorter, once.
        Raises NoFitReplyError when that does not help either, OutdatedError, and EngineErrors.
        """
        deadline = time.monotonic() + self._deadline_seconds
        asked = Asked(
            said, tuple(turns), params, deadline, cancellation, num_erasures, show, stands
        )
        occasion = _occasion(asked)
        rejected, is_memory_short = list[Rejected](), False
        for attempt, budget in self._ladder(params):
            asked = replace(asked, params=attempt.after(num_replies))
            context, completions, is_memory_short = await self._complete(
                asked, budget, is_memory_short=is_memory_short
            )
            judgement = await self._ranker.judge(completions, occasion)
            rejected += judgement.rejected
            if (best := judgement.chosen) is not None:
                made, info, others = completions[best.index], self._engine.info, tuple(rejected)
                return Answer(best.text, made, context, asked.params, info, others, best.scores)
            asked = replace(asked, refused=(*asked.refused, *(one.ids for one in completions)))
        raise NoFitReplyError

    def _ladder(self, params: SamplingParams) -> Iterator[tuple[SamplingParams, ContextBudget]]:
        """What to try in turn: as asked; warmer; warmer and from a shorter context."""
        yield params, self._budget
        yield params.warmer(), self._budget
        yield params.warmer(), self._budget.shorter()

    async def _complete(
        self, asked: Asked, budget: ContextBudget, *, is_memory_short: bool
    ) -> tuple[Context, list[Completion], bool]:
        """Run the model, and once more with less when the memory is full; whether it is."""
        if not is_memory_short:
            try:
                return *await self._generate(asked, budget), False
            except EngineMemoryError:
                logger.warning("The device's memory is full: trying a shorter context.")
        return *await self._generate(asked, budget.shorter()), True

    async def _generate(
        self, asked: Asked, budget: ContextBudget
    ) -> tuple[Context, list[Completion]]:
        num_tokens, _ = fit_window(
            self._engine.info.window, asked.params.max_new_tokens, budget.num_tokens
        )
        fitting = ContextBudget(num_tokens, budget.num_turns)
        context = await self._tokenizer.run(
            partial(build_context, asked.turns, asked.said.text, fitting)
        )
        if asked.stands is not None and not await asked.stands():
            raise OutdatedError
        scope = asked.said.scope
        params, own_ids = _unlike_refused(asked, context)
        request = GenerationRequest(
            prompt_ids=context.prompt_ids,
            params=params,
            own_ids=own_ids,
            sequence_key=f"{scope.channel_id}/{scope.user_id or 0}",
            num_erasures=asked.num_erasures,
            group_key=asked.said.guild_id or scope.channel_id,
            user_id=asked.said.author_id,
            deadline=asked.deadline,
            cancellation=asked.cancellation,
        )
        if asked.show is None or asked.params.num_candidates > 1:
            return context, await self._engine.generate(request)
        live = LiveReply(self._tokenizer, asked.show, self._is_blocked)
        try:
            return context, await self._engine.generate(replace(request, on_token=live.add))
        finally:
            await live.close()


def _unlike_refused(
    asked: Asked, context: Context
) -> tuple[SamplingParams, tuple[tuple[int, ...], ...]]:
    """The params and the earlier turns with which a reply is made that repeats no refused one.

    Only where nothing is left to chance: the same request would bring the same reply. The ban over
    the bot's own turns does it, and where it is off no turn but the refused ones counts for it.
    """
    size = asked.params.no_repeat_own_ngram_size
    if asked.params.has_chance or not asked.refused:
        return asked.params, context.own_ids
    params = replace(asked.params, no_repeat_own_ngram_size=size or UNLIKE_NGRAM_SIZE)
    return params, (*(context.own_ids if size else ()), *asked.refused)


def _occasion(asked: Asked) -> Occasion:
    """What candidates are judged by: what the bot said counts where a short context lacks it."""
    texts = {turn.turn_id: turn.text for turn in asked.turns}
    own = [turn for turn in asked.turns if turn.role is Role.BOT]
    return Occasion(
        said=asked.said.text,
        own_turns=tuple(turn.text for turn in own),
        deadline=asked.deadline,
        cancellation=asked.cancellation,
        questions=tuple(texts.get(turn.parent_id or 0, "") for turn in own),
    )
