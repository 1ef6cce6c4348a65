"""The use cases of a conversation: respond, reset, and which settings are in force."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from bot.answering.erasures import Erasures
from bot.answering.live_reply import ShowWords
from bot.answering.ports import Draft, Head, HistoryStore, SamplingStore
from bot.answering.reply_maker import Answer, OutdatedError, ReplyMaker
from bot.dialogue.reply import Reply
from bot.dialogue.sampling import Defaults, EffectiveParams, Overrides, Place, resolve
from bot.dialogue.turn import Scope, Turn, Utterance
from bot.engine.protocol import Cancellation
from bot.errors import ScopeMovedError, StoreUnavailableError, WithdrawnError

logger = logging.getLogger(__name__)

# The ground of a reply may go while it is made: a reset, an erasure, an edit, a bot on another
# machine. The last try builds on nothing that could go.
NUM_TRIES = 3


@dataclass(frozen=True, slots=True)
class Recollection:
    """What is remembered for an utterance, and set for it.

    `head` None: the memory is away, or holds words that should be gone.
    `num_erasures`: how many there were before it was read. `num_replies`: how many of the bot's
    turns are on the path; counted where a seed is set.
    """

    said: Utterance
    num_erasures: int
    head: Head | None
    parent_id: int | None = None
    turns: tuple[Turn, ...] = ()
    overrides: Overrides = field(default_factory=dict)
    num_replies: int = 0


@dataclass(frozen=True, slots=True)
class _Wish:
    """What `respond` was called with; `newest` gives the utterance as it reads now."""

    newest: Callable[[], Utterance]
    cancellation: Cancellation
    recording: Awaitable[object] | None
    show: ShowWords | None
    started_at: float = field(default_factory=time.perf_counter)


class Conversation:
    """Turns an utterance into a reply that is remembered.

    `num_turns` bounds the path that is read for a context; after `idle` of silence a
    conversation begins with an empty context (None: never).
    """

    def __init__(
        self,
        *,
        reply_maker: ReplyMaker,
        erasures: Erasures,
        history: HistoryStore,
        sampling: SamplingStore,
        defaults: Defaults,
        num_turns: int,
        idle: timedelta | None = None,
    ) -> None:
        self._reply_maker = reply_maker
        self._erasures = erasures
        self._history = history
        self._sampling = sampling
        self.defaults = defaults
        # Blank turns take places on the path: read twice as far as a context can reach.
        self._path_length = 2 * num_turns + 2
        self._idle = idle

    async def respond(
        self,
        said: Utterance,
        cancellation: Cancellation,
        recording: Awaitable[object] | None = None,
        show: ShowWords | None = None,
        *,
        as_it_reads: Callable[[], Utterance] | None = None,
    ) -> Reply:
        """Answer `said` and remember the exchange; without a memory, only answer.

        Nothing is remembered before `recording`, the note that `said` came, has ended.
        `show` is called with the words that were made so far, which the reply may not keep.
        `as_it_reads` gives `said` as it was edited since. Where a reset, an erasure or an edit
        takes what a reply was made of, it is made anew.
        Raises WithdrawnError (cancelled), ScopeMovedError (the inbox wants no answer any more),
        NoFitReplyError (no candidate passed the guards), or an EngineError.
        """
        wish = _Wish(as_it_reads or (lambda: said), cancellation, recording, show)
        for is_last in (*(False,) * (NUM_TRIES - 1), True):
            reply = await self._try(wish, is_last=is_last)
            if reply is not None:
                return reply
        raise ScopeMovedError

    async def reset(self, scope: Scope) -> None:
        """Forget the conversation of `scope`; a reply that is being made is made anew."""
        await self._history.reset(scope)

    async def effective(self, place: Place) -> EffectiveParams:
        """The SamplingParams in force at `place`; the defaults when the memory is away."""
        try:
            overrides = await self._sampling.overrides(place)
        except StoreUnavailableError:
            overrides = {}
        return resolve(self.defaults, overrides)

    async def _try(self, wish: _Wish, *, is_last: bool) -> Reply | None:
        """Answer once; None where the ground of the reply went: try once more."""
        recollection = await self._recall(wish.newest(), is_alone=is_last)
        stands = partial(self._stands, recollection, None if is_last else wish.newest)
        try:
            answer = await self._reply_maker.answer(
                recollection.said,
                recollection.turns,
                resolve(self.defaults, recollection.overrides).params,
                wish.cancellation,
                wish.show,
                num_erasures=recollection.num_erasures,
                num_replies=recollection.num_replies,
                stands=stands,
            )
        except OutdatedError:
            return None
        if wish.recording is not None:
            await asyncio.shield(wish.recording)
        if wish.cancellation.cancelled:
            raise WithdrawnError
        if not await stands():
            return None
        latency_ms = round(1000 * (time.perf_counter() - wish.started_at))
        draft = _draft(recollection, answer, latency_ms)
        reply = await self._remember(draft, recollection, is_last=is_last)
        if reply is not None:
            _log(recollection.said, answer, latency_ms)
        return reply

    async def _stands(self, made_of: Recollection, newest: Callable[[], Utterance] | None) -> bool:
        """Whether no word of a recollection was erased or replaced since; without `newest`: yes.

        Most erasures are of other words: they cost a look, and no reply.
        """
        if newest is None:
            return True
        now = made_of
        for _ in range(NUM_TRIES):
            if now.num_erasures == self._erasures.num:
                return True
            now = await self._recall(newest())
            if now.said.text != made_of.said.text or not set(made_of.turns) <= set(now.turns):
                return False
        return False

    async def _recall(self, said: Utterance, *, is_alone: bool = False) -> Recollection:
        """What there is for `said`; `is_alone`: as if nothing had been said before."""
        num_erasures = self._erasures.num  # before anything is read
        if self._erasures.are_due:
            return Recollection(said, num_erasures, head=None)
        try:
            standing = await self._history.standing(said.scope, place_of(said), self._path_length)
            head, turns = standing.head, standing.turns
            parent_id = None if is_alone else await self._parent_of(said, head)
            if parent_id is None:
                turns = ()
            elif parent_id != head.turn_id:
                turns = tuple(await self._history.path(parent_id, self._path_length))
            overrides, num_replies = standing.overrides, 0
            if parent_id is not None and resolve(self.defaults, overrides).params.seed is not None:
                num_replies = await self._history.num_replies(parent_id)
        except StoreUnavailableError:
            return Recollection(said, num_erasures, head=None)
        return Recollection(said, num_erasures, head, parent_id, turns, overrides, num_replies)

    async def _parent_of(self, said: Utterance, head: Head) -> int | None:
        """The turn that `said` continues: the replied-to turn, else the head of its scope."""
        if said.reply_to_id is not None:
            turn = await self._history.turn_of_message(said.reply_to_id)
            if turn is not None and turn.scope == said.scope:
                return turn.turn_id if turn.epoch == head.epoch else None
        if head.turn_id is None and head.epoch == 0 and said.parent_channel_id is not None:
            return await self._thread_origin(said, said.parent_channel_id)
        if self._idle is not None and head.last_at is not None:
            silence = said.created_at - head.last_at
            return head.turn_id if silence < self._idle else None
        return head.turn_id

    async def _thread_origin(self, said: Utterance, parent_channel_id: int) -> int | None:
        """The turn of the message that a thread was made from: a thread has its message's id."""
        turn = await self._history.turn_of_message(said.scope.channel_id)
        origin_scope = Scope(parent_channel_id, said.scope.user_id)
        if turn is None or turn.scope != origin_scope:
            return None
        origin_head = await self._history.head(origin_scope)
        return turn.turn_id if turn.epoch == origin_head.epoch else None

    async def _remember(
        self, draft: Draft, recollection: Recollection, *, is_last: bool
    ) -> Reply | None:
        """Store the exchange; None where its ground moved: answer once more.

        What was made of nothing that was said before holds in every epoch, and the last try at
        every head.
        """
        head = recollection.head
        if head is None:
            return Reply(draft.text, turn_id=None)
        try:
            for _ in range(NUM_TRIES):
                try:
                    exchange = await self._history.remember(draft, head)
                except ScopeMovedError:
                    now = await self._history.head(draft.said.scope)
                    if draft.parent_id is not None or not (is_last or now.epoch != head.epoch):
                        return None
                    if now == head:
                        raise
                    head = now
                else:
                    return Reply(exchange.bot.text, exchange.bot.turn_id)
        except StoreUnavailableError:
            return Reply(draft.text, turn_id=None)
        return None


def place_of(said: Utterance) -> Place:
    """Where the settings for `said` are looked up: a thread has those of its channel."""
    channel_id = said.parent_channel_id or said.scope.channel_id
    return Place(said.guild_id, channel_id, said.author_id)


def _log(said: Utterance, answer: Answer, latency_ms: int) -> None:
    """One line for a reply: numbers and ids, never words."""
    logger.info(
        "Message %s in channel %s: %s tokens from a prompt of %s in %s ms, %s rejected.",
        said.message_id,
        said.scope.channel_id,
        len(answer.completion.ids),
        answer.completion.num_prompt_tokens,
        latency_ms,
        len(answer.rejected),
    )


def _draft(recollection: Recollection, answer: Answer, latency_ms: int) -> Draft:
    completion = answer.completion
    return Draft(
        said=recollection.said,
        parent_id=recollection.parent_id,
        made_of_ids=tuple(turn.turn_id for turn in recollection.turns),
        text=answer.text,
        num_tokens=(answer.context.num_said_tokens, len(completion.ids)),
        tokenizer=answer.context.tokenizer,
        context_start_id=answer.context.start_id,
        num_prompt_tokens=completion.num_prompt_tokens,
        model=answer.engine.model,
        revision=answer.engine.revision,
        params=answer.params,
        seed=completion.seed,
        finish_reason=completion.finish_reason.value,
        latency_ms=latency_ms,
        rejected=answer.rejected,
        scores=answer.scores,
    )
