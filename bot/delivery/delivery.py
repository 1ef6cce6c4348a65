"""The lines of the scopes and their workers: utterances in, in order; replies out, exactly once.

An accepted utterance becomes a ticket in its scope's line before the first await, because
discord.py runs every event as a task of its own. One worker a scope takes the tickets in order.
The inbox row of an utterance goes from pending (taken in) over answered (the reply is stored)
to done (all was sent); after a crash the row says where to go on. A database is not needed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from bot.answering.conversation import Conversation
from bot.answering.erasures import Erasures
from bot.answering.ports import HistoryStore
from bot.delivery.admission import Admission
from bot.delivery.outbox import Outbox, Pause
from bot.delivery.ports import Courier, InboxEntry, InboxStore
from bot.delivery.responder import Responder
from bot.delivery.ticket import Ticket, noted
from bot.delivery.unfinished import LEAST_CATCH_UP, UnfinishedRows
from bot.dialogue.turn import Scope, Utterance
from bot.errors import EngineBrokenError, EngineClosedError, StoreUnavailableError

logger = logging.getLogger(__name__)

NUM_REMEMBERED_IDS = 4096  # message ids kept in memory, for the times without a database
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
        history: HistoryStore,
        admission: Admission,
        outbox: Outbox,
        catch_up: timedelta = LEAST_CATCH_UP,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._erasures = erasures
        self._inbox = inbox
        self._history = history
        self._admission = admission
        self._unfinished = UnfinishedRows(inbox, outbox, catch_up)
        self._pause = pause
        self._responder = Responder(
            conversation=conversation, history=history, inbox=inbox, outbox=outbox
        )
        self._lines: dict[Scope, deque[Ticket]] = {}
        self._workers: dict[Scope, asyncio.Task[None]] = {}
        self._recordings: set[asyncio.Task[None]] = set()
        self._tickets: dict[int, Ticket] = {}
        self._finished: deque[int] = deque(maxlen=NUM_REMEMBERED_IDS)
        self._left: deque[int] = deque(maxlen=NUM_REMEMBERED_IDS)  # of those, what is not done
        self._courier: Courier | None = None
        self._taking_up = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._stopping = False
        self._is_first_look = True
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
        await self._take_up_unfinished(courier)
        self._courier = courier
        if self._looking is None and not self._stopping:
            self._looking = asyncio.create_task(self._look_again(courier), name="inbox")
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
        tasks = set(self._workers.values())
        if self._looking is not None:
            self._looking.cancel()
            tasks.add(self._looking)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._recordings:
            await asyncio.wait(self._recordings, timeout=RECORDING_SECONDS)

    async def withdraw(self, message_ids: Sequence[int]) -> None:
        """Drop the replies to deleted messages and blank what is stored of them."""
        tickets = [self._tickets[one] for one in message_ids if one in self._tickets]
        await self._drop(tickets)
        await self._erase(self._history.withdraw(message_ids), is_under_way=bool(tickets))

    async def revise(self, message_id: int, text: str) -> None:
        """Follow an edited message; an empty `text` means that we may not read it any more."""
        if not text:
            await self.withdraw([message_id])
            return
        if ticket := self._tickets.get(message_id):
            ticket.said = replace(ticket.said, text=text)
            await noted([ticket])
        change = self._history.revise(message_id, text)
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
        """Drop everything that waits or runs in a channel or one of its threads."""
        await self._forget(
            lambda said: channel_id in (said.scope.channel_id, said.parent_channel_id)
        )

    async def forget_server(self, guild_id: int) -> None:
        """Drop everything that waits or runs in a server."""
        await self._forget(lambda said: said.guild_id == guild_id)

    @property
    def num_pending(self) -> int:
        """How many messages wait for their reply or get it now."""
        return len(self._tickets)

    async def _forget(self, is_theirs: Callable[[Utterance], bool]) -> None:
        await self._drop([one for one in self._tickets.values() if is_theirs(one.said)])
        self._erasures.note()

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
        ticket, is_done = line[0], False
        message_id = ticket.said.message_id
        try:
            is_done = await self._responder.serve(ticket, courier)
        except EngineClosedError:
            logger.debug("The inbox has message %s for the next start.", message_id)
        except EngineBrokenError:
            self.broken.set()
        except Exception:
            logger.exception("Message %s could not be answered.", message_id)
            is_done = await self._responder.apologise(ticket, courier)
        finally:
            line.popleft()
            del self._tickets[message_id]
            self._admission.release(ticket.said.author_id)
            self._finished.append(message_id)
            if not is_done:
                self._left.append(message_id)
            self._has_unfinished |= ticket.is_unclosed or not is_done

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
            if not self._has_unfinished:
                return
            self._has_unfinished = False
            # A row that was read while its ticket was being finished is not what it was.
            passing, left = set(self._tickets), set(self._left)
            try:
                entries, others_wait = await self._unfinished.due(
                    courier, passing=passing, is_start=self._is_first_look
                )
            except StoreUnavailableError:
                self._has_unfinished = True  # the next look, or connection, finds them
                return
            self._is_first_look = False
            self._has_unfinished |= others_wait
            for entry in entries:
                await self._take_up(entry, left)

    async def _take_up(self, entry: InboxEntry, left: Collection[int]) -> None:
        """Make a ticket of a row, unless this run has one or has served it and not left it."""
        message_id = entry.said.message_id
        if message_id in self._tickets:  # it came while we started
            return
        if message_id in self._finished and message_id not in left:
            if message_id not in self._left:
                await self._close_served(message_id)
            return
        if message_id in self._left:
            self._left.remove(message_id)
        self._admission.readmit(entry.said.author_id)
        self._enqueue(Ticket(entry.said, entry))

    async def _close_served(self, message_id: int) -> None:
        """Close the row of a message that was answered while the store could not take that."""
        try:
            await self._inbox.close(message_id)
        except StoreUnavailableError:
            self._has_unfinished = True
