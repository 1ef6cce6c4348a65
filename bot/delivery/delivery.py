"""Utterances in, in order; replies out, exactly once.

An accepted utterance becomes a ticket in its scope's line before the first await, because
discord.py runs every event as a task of its own; see bot.delivery.lines for what follows.
The inbox row of an utterance goes from pending (taken in) over answered (the reply is stored)
to done (all was sent); after a crash the row says where to go on. A database is not needed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.answering.conversation import Conversation
from bot.answering.erasures import Erasures
from bot.delivery.admission import Admission
from bot.delivery.facts import Facts
from bot.delivery.gone import LatelyGone
from bot.delivery.lines import Lines
from bot.delivery.outbox import Outbox, Pause
from bot.delivery.ports import Courier, InboxEntry, InboxStore
from bot.delivery.responder import Responder
from bot.delivery.ticket import Ticket, noted
from bot.delivery.unfinished import LEAST_CATCH_UP, UnfinishedRows
from bot.dialogue.turn import Utterance
from bot.errors import AdmissionError, StoreUnavailableError

logger = logging.getLogger(__name__)

RECORDING_SECONDS = 1.0  # for the last utterances to get into the inbox at a stop
LOOK_SECONDS = 180.0  # between two looks for rows that are left in the inbox


class Delivery:
    """Takes utterances in and has them answered; see Responder for one of them.

    `catch_up`: up to what age an utterance is answered that an earlier run left without a reply.
    `pause` waits some seconds between two looks into the inbox.
    """

    def __init__(
        self,
        *,
        conversation: Conversation,
        erasures: Erasures,
        inbox: InboxStore,
        facts: Facts,
        admission: Admission,
        outbox: Outbox,
        catch_up: timedelta = LEAST_CATCH_UP,
        gone: LatelyGone | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._erasures = erasures
        self._inbox = inbox
        self._facts = facts
        self._admission = admission
        self._unfinished = UnfinishedRows(inbox, outbox, catch_up)
        self._pause = pause
        responder = Responder(conversation=conversation, facts=facts, inbox=inbox, outbox=outbox)
        self._lines = Lines(responder, admission, facts)
        self._recordings: set[asyncio.Task[None]] = set()
        self._gone = gone or LatelyGone()
        self._taking_up = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._is_first_look = True

    def accept(self, said: Utterance) -> None:
        """Take `said` in; it is answered after what its scope already waits for.

        Call it before the first await of an event. A message that was taken in before is ignored.
        While the bot stops it is noted for the next start to answer. Raises an AdmissionError.
        """
        if self._is_known(said.message_id):
            return
        try:
            self._admission.admit(said.author_id)
        except AdmissionError:
            # The member is told to send it again: no look back may answer it, too.
            self._note(self._leave_mark(said))
            raise
        self._lines.add(self._ticket_of(said))

    def take_back(self, said: Utterance) -> None:
        """Take in what was said while the bot was away, before all that came later.

        Like `accept`, but its place in the queue was given by the one who looked back.
        """
        if self._is_known(said.message_id) or self._gone.holds(said):
            return
        self._admission.readmit(said.author_id)
        self._lines.add_by_age(self._ticket_of(said))

    async def start(self, courier: Courier) -> None:
        """Begin to answer, what was left unfinished first; call it at every new connection."""
        await self._facts.begin()
        await self._take_up_unfinished(courier)
        if self._looking is None and not self._is_stopping:
            self._looking = asyncio.create_task(self._look_again(courier), name="inbox")
        self._lines.start(courier)

    async def stop(self, within_seconds: float) -> None:
        """Begin no further reply, finish what runs, and hand back what does not finish in time.

        What is handed back stays in the inbox, and the next start answers it.
        """
        self._is_stopping = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking], timeout=within_seconds)
        await self._lines.stop(within_seconds)
        await self._facts.stop()
        if self._recordings:
            await asyncio.wait(self._recordings, timeout=RECORDING_SECONDS)

    async def withdraw(self, message_ids: Sequence[int]) -> None:
        """Drop the replies to deleted messages and blank what is stored of them."""
        self._gone.note_messages(message_ids)
        await self._blank(message_ids)

    async def _blank(self, message_ids: Sequence[int]) -> None:
        tickets = [self._lines.tickets[one] for one in message_ids if one in self._lines.tickets]
        await self._drop(tickets)
        change = self._facts.withdraw(message_ids, self._under_way(message_ids))
        await self._erase(change, is_under_way=bool(tickets))

    async def revise(self, message_id: int, text: str) -> bool:
        """Follow an edited message; an empty `text` means that we may not read it any more.

        Returns whether the message was known; where it was, nothing more is to be done.
        """
        if not text:
            await self._blank([message_id])
            return True
        is_known = self._is_known(message_id)
        if ticket := self._lines.tickets.get(message_id):
            ticket.said = replace(ticket.said, text=text)
            await noted([ticket])
        change = self._facts.revise(message_id, text, self._under_way([message_id]))
        return await self._erase(change, is_under_way=ticket is not None) or is_known

    async def _erase(self, change: Awaitable[bool], *, is_under_way: bool) -> bool:
        """Await a change of stored words, which says whether there were any.

        The engine keeps nothing of them, nor of a reply that is under way, or where the store
        does not answer.
        """
        were_there = True
        try:
            were_there = await change or is_under_way
        finally:
            if were_there:
                self._erasures.note()
        return were_there

    async def forget_member(self, user_id: int) -> None:
        """Drop everything that waits or runs for a member."""
        await self._forget(lambda said: said.author_id == user_id)

    async def forget_channel(self, channel_id: int) -> None:
        """Forget a channel or thread that is gone, with all that waits or runs there.

        What waits or runs in the threads of a channel goes with it.
        """
        under_way = await self._forget(
            lambda said: channel_id in (said.scope.channel_id, said.parent_channel_id)
        )
        change = self._facts.purge_channel(channel_id, under_way)
        await self._erase(change, is_under_way=True)

    async def forget_server(self, guild_id: int, channel_ids: Sequence[int]) -> None:
        """Forget a server that the bot is in no longer, with all that waits or runs there."""
        under_way = await self._forget(lambda said: said.guild_id == guild_id)
        change = self._facts.purge_server(guild_id, channel_ids, under_way)
        await self._erase(change, is_under_way=True)

    @property
    def broken(self) -> asyncio.Event:
        """Set when the engine cannot be used again."""
        return self._lines.broken

    @property
    def num_pending(self) -> int:
        """How many messages wait for their reply or get it now."""
        return len(self._lines.tickets)

    async def _forget(self, is_theirs: Callable[[Utterance], bool]) -> list[int]:
        """Drop what waits or runs; returns which messages are still under way."""
        self._gone.note(is_theirs)
        tickets = [one for one in self._lines.tickets.values() if is_theirs(one.said)]
        await self._drop(tickets)
        self._erasures.note()
        return self._under_way(one.said.message_id for one in tickets)

    def _under_way(self, message_ids: Iterable[int]) -> list[int]:
        """Those of the messages that are not answered yet: their exchange may still be stored."""
        return [one for one in message_ids if one in self._lines.tickets]

    async def _drop(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            ticket.cancellation.cancel()
        await noted(tickets)

    def _is_known(self, message_id: int) -> bool:
        """Whether a message waits, or was answered."""
        return message_id in self._lines.tickets or message_id in self._lines.finished

    def _ticket_of(self, said: Utterance) -> Ticket:
        ticket = Ticket(said)
        ticket.recording = self._note(self._record(ticket))
        return ticket

    def _note(self, writing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that writes into the inbox; a stop waits for it."""
        task = asyncio.create_task(writing)
        self._recordings.add(task)
        task.add_done_callback(self._recordings.discard)
        return task

    async def _leave_mark(self, said: Utterance) -> None:
        with suppress(StoreUnavailableError):
            await self._inbox.mark([said])

    async def _record(self, ticket: Ticket) -> None:
        """Note the utterance in the inbox; without a database it counts as new."""
        with suppress(StoreUnavailableError):
            if not await self._inbox.record(ticket.said):
                ticket.is_repeated = True
                ticket.cancellation.cancel()

    async def _look_again(self, courier: Courier) -> None:
        """Take up what is left in the inbox, now and then: no new connection may come for days."""
        while True:
            await self._pause(LOOK_SECONDS)
            try:
                await self._take_up_unfinished(courier)
            except Exception:
                logger.exception("The inbox could not be looked into.")

    async def _take_up_unfinished(self, courier: Courier) -> None:
        """Make tickets of the inbox's rows that are not done and have none."""
        async with self._taking_up:
            if not self._lines.has_unfinished:
                return
            self._lines.has_unfinished = False
            # A row that was read while its ticket was being finished is not what it was.
            passing, left = set(self._lines.tickets), set(self._lines.left)
            try:
                entries, others_wait = await self._unfinished.due(
                    courier, passing=passing, is_start=self._is_first_look
                )
            except StoreUnavailableError:
                self._lines.has_unfinished = True  # the next look, or connection, finds them
                return
            self._is_first_look = False
            self._lines.has_unfinished |= others_wait
            for entry in entries:
                await self._take_up(entry, left)

    async def _take_up(self, entry: InboxEntry, left: Collection[int]) -> None:
        """Make a ticket of a row, unless this run has one or has served it and not left it."""
        message_id = entry.said.message_id
        if message_id in self._lines.tickets:  # it came while we started
            return
        if message_id in self._lines.finished and message_id not in left:
            if message_id not in self._lines.left:
                await self._close_served(message_id)
            return
        if message_id in self._lines.left:
            self._lines.left.remove(message_id)
        self._admission.readmit(entry.said.author_id)
        self._lines.add(Ticket(entry.said, entry))

    async def _close_served(self, message_id: int) -> None:
        """Close the row of a message that was answered while the store could not take that."""
        try:
            await self._inbox.close(message_id)
        except StoreUnavailableError:
            self._lines.has_unfinished = True
