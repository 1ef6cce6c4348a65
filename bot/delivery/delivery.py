"""The lines of the scopes and their workers: utterances in, in order; replies out, exactly once.

An accepted utterance becomes a ticket in its scope's line before the first await, because
discord.py runs every event as a task of its own. One worker a scope takes the tickets in order.
The inbox row of an utterance goes from pending (taken in) over answered (the reply is stored)
to done (all was sent); after a crash the row says where to go on. A database is not needed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from bot.answering.conversation import Conversation
from bot.answering.erasures import Erasures
from bot.delivery.admission import Admission
from bot.delivery.facts import Facts
from bot.delivery.outbox import Outbox
from bot.delivery.ports import Courier, InboxEntry, InboxStore
from bot.delivery.responder import Responder
from bot.delivery.ticket import Ticket, noted
from bot.dialogue.turn import Scope, Utterance
from bot.errors import EngineBrokenError, EngineClosedError, StoreUnavailableError

logger = logging.getLogger(__name__)

NUM_REMEMBERED_IDS = 4096  # message ids kept in memory, for the times without a database
RECORDING_SECONDS = 1.0  # for the last utterances to get into the inbox at a stop
# Starts at which an unfinished row is tried; what ends the bot each time is too old by then.
NUM_ATTEMPTS = 20


class Delivery:
    """Takes utterances in and has them answered; see Responder for one of them."""

    def __init__(
        self,
        *,
        conversation: Conversation,
        erasures: Erasures,
        inbox: InboxStore,
        facts: Facts,
        admission: Admission,
        outbox: Outbox,
    ) -> None:
        self._erasures = erasures
        self._inbox = inbox
        self._facts = facts
        self._admission = admission
        self._outbox = outbox
        self._responder = Responder(
            conversation=conversation, facts=facts, inbox=inbox, outbox=outbox
        )
        self._lines: dict[Scope, deque[Ticket]] = {}
        self._workers: dict[Scope, asyncio.Task[None]] = {}
        self._recordings: set[asyncio.Task[None]] = set()
        self._tickets: dict[int, Ticket] = {}
        self._finished: deque[int] = deque(maxlen=NUM_REMEMBERED_IDS)
        self._courier: Courier | None = None
        self._stopping = False
        self._has_unfinished = True  # rows in the inbox that no ticket stands for
        self.broken = asyncio.Event()  # set when the engine cannot be used again

    def accept(self, said: Utterance) -> None:
        """Take `said` in; it is answered after what its scope already waits for.

        Call it before the first await of an event. A message that was taken in before is ignored.
        While the bot stops it is noted for the next start to answer. Raises an AdmissionError.
        """
        if said.message_id in self._tickets or said.message_id in self._finished:
            return
        self._admission.admit(said.author_id)
        ticket = Ticket(said)
        ticket.recording = asyncio.create_task(self._record(ticket))
        self._recordings.add(ticket.recording)
        ticket.recording.add_done_callback(self._recordings.discard)
        self._enqueue(ticket)

    async def start(self, courier: Courier) -> None:
        """Begin to answer, what was left unfinished first; call it at every new connection."""
        await self._facts.begin()
        await self._take_up_unfinished()
        self._courier = courier
        for scope, line in self._lines.items():
            # What an earlier run left is older than what came while we started.
            if scope not in self._workers:
                self._lines[scope] = deque(sorted(line, key=lambda one: one.said.message_id))
                self._start_worker(scope, courier)

    async def stop(self, within_seconds: float) -> None:
        """Begin no further reply, finish what runs, and hand back what does not finish in time.

        What is handed back stays in the inbox, and the next start answers it.
        """
        self._stopping = True
        if workers := set(self._workers.values()):
            _, late = await asyncio.wait(workers, timeout=within_seconds)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._facts.stop()
        if self._recordings:
            await asyncio.wait(self._recordings, timeout=RECORDING_SECONDS)

    async def withdraw(self, message_ids: Sequence[int]) -> None:
        """Drop the replies to deleted messages and blank what is stored of them."""
        tickets = [self._tickets[one] for one in message_ids if one in self._tickets]
        await self._drop(tickets)
        change = self._facts.withdraw(message_ids, self._under_way(message_ids))
        await self._erase(change, is_under_way=bool(tickets))

    async def revise(self, message_id: int, text: str) -> None:
        """Follow an edited message; an empty `text` means that we may not read it any more."""
        if not text:
            await self.withdraw([message_id])
            return
        if ticket := self._tickets.get(message_id):
            ticket.said = replace(ticket.said, text=text)
            await noted([ticket])
        change = self._facts.revise(message_id, text, self._under_way([message_id]))
        await self._erase(change, is_under_way=ticket is not None)

    async def _erase(self, change: Awaitable[bool], *, is_under_way: bool) -> None:
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
    def num_pending(self) -> int:
        """How many messages wait for their reply or get it now."""
        return len(self._tickets)

    async def _forget(self, is_theirs: Callable[[Utterance], bool]) -> list[int]:
        """Drop what waits or runs; returns which messages are still under way."""
        tickets = [one for one in self._tickets.values() if is_theirs(one.said)]
        await self._drop(tickets)
        self._erasures.note()
        return self._under_way(one.said.message_id for one in tickets)

    def _under_way(self, message_ids: Iterable[int]) -> list[int]:
        """Those of the messages that are not answered yet: their exchange may still be stored."""
        return [one for one in message_ids if one in self._tickets]

    async def _drop(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            ticket.cancellation.cancel()
        await noted(tickets)

    def _enqueue(self, ticket: Ticket) -> None:
        self._tickets[ticket.said.message_id] = ticket
        scope = ticket.said.scope
        self._lines.setdefault(scope, deque()).append(ticket)
        if scope not in self._workers and self._courier is not None:
            self._start_worker(scope, self._courier)

    def _start_worker(self, scope: Scope, courier: Courier) -> None:
        self._workers[scope] = asyncio.create_task(
            self._work(scope, courier), name=f"scope {scope.channel_id}"
        )

    async def _work(self, scope: Scope, courier: Courier) -> None:
        line = self._lines[scope]
        try:
            while line and not self._stopping:
                await self._serve_next(line, courier)
        finally:
            del self._workers[scope]
            if not line:
                del self._lines[scope]

    async def _serve_next(self, line: deque[Ticket], courier: Courier) -> None:
        """Serve the first ticket and take it out of the line, whatever happens."""
        ticket = line[0]
        message_id = ticket.said.message_id
        try:
            if not await self._responder.serve(ticket, courier):
                self._has_unfinished = True
        except EngineClosedError:
            logger.debug("The inbox has message %s for the next start.", message_id)
        except EngineBrokenError:
            self.broken.set()
        except Exception:
            logger.exception("Message %s could not be answered.", message_id)
            await self._responder.apologise(ticket, courier)
        finally:
            line.popleft()
            del self._tickets[message_id]
            self._admission.release(ticket.said.author_id)
            self._finished.append(message_id)
            self._facts.ended(message_id)

    async def _record(self, ticket: Ticket) -> None:
        """Note the utterance in the inbox; without a database it counts as new."""
        with suppress(StoreUnavailableError):
            if not await self._inbox.record(ticket.said):
                ticket.is_repeated = True
                ticket.cancellation.cancel()

    async def _take_up_unfinished(self) -> None:
        """Make tickets of the inbox's rows that are not done and have none."""
        if not self._has_unfinished:
            return
        try:
            entries = await self._inbox.unfinished()
        except StoreUnavailableError:
            return  # the next connection looks again
        self._has_unfinished = False
        for entry in entries:
            try:
                await self._take_up(entry)
            except Exception:
                # One row that cannot be read must not silence the bot.
                logger.exception("Message %s is left unanswered.", entry.said.message_id)

    async def _take_up(self, entry: InboxEntry) -> None:
        said = entry.said
        if said.message_id in self._tickets:  # it came while we started
            return
        is_too_late = entry.reply_text is None and not self._outbox.is_recent(said)
        if entry.attempts > NUM_ATTEMPTS or is_too_late:
            with suppress(StoreUnavailableError):
                await self._inbox.close(said.message_id)
            return
        self._admission.readmit(said.author_id)
        self._enqueue(Ticket(said, entry))
