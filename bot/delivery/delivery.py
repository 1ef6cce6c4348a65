"""Takes utterances in, in order; hands replies out, exactly once.

An accepted utterance becomes a ticket in its scope's line before the first await, because
discord.py runs every event as a task of its own. One worker a scope takes the tickets in order.
The inbox row of an utterance goes from pending (taken in) over answered (the reply is stored)
to done (all was sent); after a crash the row says where to go on. A database is not needed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from bot.answering.conversation import Conversation
from bot.answering.erasures import Erasures
from bot.answering.ports import HistoryStore
from bot.delivery.admission import Admission
from bot.delivery.outbox import Outbox
from bot.delivery.ports import Courier, InboxEntry, InboxStore
from bot.delivery.recent_ids import RecentIds
from bot.delivery.ticket import Ticket, left_over, noted
from bot.dialogue.reply import Reply
from bot.dialogue.turn import Scope, Utterance
from bot.errors import (
    ChatError,
    EngineBrokenError,
    EngineClosedError,
    EngineStuckError,
    OwnFaultError,
    ScopeMovedError,
    StoreUnavailableError,
    WithdrawnError,
)

logger = logging.getLogger(__name__)

NUM_REMEMBERED_IDS = 4096  # message ids kept in memory, for the times without a database
RECORDING_SECONDS = 1.0  # for the last utterances to get into the inbox at a stop
# Starts at which an unfinished row is tried; what ends the bot each time is too old by then.
NUM_ATTEMPTS = 20


class Delivery:
    """The way of an utterance in, and of its reply out."""

    def __init__(
        self,
        *,
        conversation: Conversation,
        erasures: Erasures,
        inbox: InboxStore,
        history: HistoryStore,
        admission: Admission,
        outbox: Outbox,
    ) -> None:
        self._conversation = conversation
        self._erasures = erasures
        self._inbox = inbox
        self._history = history
        self._admission = admission
        self._outbox = outbox
        self._lines: dict[Scope, deque[Ticket]] = {}
        self._workers: dict[Scope, asyncio.Task[None]] = {}
        self._recordings: set[asyncio.Future[bool]] = set()
        self._tickets: dict[int, Ticket] = {}
        self._finished = RecentIds(NUM_REMEMBERED_IDS)
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
        recording = asyncio.ensure_future(self._record(said))
        self._recordings.add(recording)
        recording.add_done_callback(self._recordings.discard)
        self._enqueue(Ticket(said, recording))

    async def start(self, courier: Courier) -> None:
        """Begin to answer, what was left unfinished first; call it at every new connection."""
        await self._take_up_unfinished()
        self._courier = courier
        for scope, line in self._lines.items():
            # What an earlier run left is older than what came while we started.
            if scope not in self._workers:
                self._lines[scope] = deque(sorted(line, key=lambda one: one.said.message_id))
                self._employ(scope)

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
        if self._recordings:
            await asyncio.wait(self._recordings, timeout=RECORDING_SECONDS)

    async def withdraw(self, message_ids: Sequence[int]) -> None:
        """Drop the replies to deleted messages and blank what is stored of them."""
        await self._drop([self._tickets[one] for one in message_ids if one in self._tickets])
        if await self._history.withdraw(message_ids):
            self._erasures.note()

    async def revise(self, message_id: int, text: str) -> None:
        """Follow an edited message; an empty `text` means that we may not read it any more."""
        if not text:
            await self.withdraw([message_id])
            return
        if ticket := self._tickets.get(message_id):
            ticket.said = replace(ticket.said, text=text)
            await noted([ticket])
        if await self._history.revise(message_id, text):
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
            self._employ(scope)

    def _employ(self, scope: Scope) -> None:
        self._workers[scope] = asyncio.create_task(
            self._work(scope), name=f"scope {scope.channel_id}"
        )

    async def _work(self, scope: Scope) -> None:
        line = self._lines[scope]
        try:
            while line and not self._stopping:
                await self._serve_next(line)
        finally:
            del self._workers[scope]
            if not line:
                del self._lines[scope]

    async def _serve_next(self, line: deque[Ticket]) -> None:
        """Serve the first ticket and take it out of the line, whatever happens."""
        ticket = line[0]
        try:
            await self._serve(ticket)
        except Exception:
            logger.exception("Message %s could not be answered.", ticket.said.message_id)
            await self._apologise(ticket)
        finally:
            line.popleft()
            self._leave(ticket)

    def _leave(self, ticket: Ticket) -> None:
        del self._tickets[ticket.said.message_id]
        self._admission.release(ticket.said.author_id)
        self._finished.add(ticket.said.message_id)

    async def _serve(self, ticket: Ticket) -> None:
        """Answer one utterance and say so in the inbox; what is not done stays there."""
        if self._courier is None:
            return
        try:
            is_done = await self._answer(ticket, self._courier)
        except EngineClosedError:
            return
        except EngineBrokenError:
            self.broken.set()
            return
        if ticket.is_repeated:
            return  # whoever took it in before sees to it
        if is_done:
            await self._close(ticket.said.message_id)
        else:
            self._has_unfinished = True

    async def _answer(self, ticket: Ticket, courier: Courier) -> bool:
        """Respond and send; whether nothing is left to do for this utterance."""
        message_id = ticket.said.message_id
        if ticket.entry is not None and ticket.entry.reply_text is not None:
            reply = Reply(ticket.entry.reply_text, ticket.entry.reply_turn_id)
            return await self._outbox.resume(courier, ticket, reply, len(ticket.entry.sent_ids))
        try:
            async with courier.typing(ticket.said.scope.channel_id):
                said, reply = await self._respond(ticket)
        except (WithdrawnError, ScopeMovedError):
            logger.info("The reply to message %s was dropped.", message_id)
            return True
        except (EngineClosedError, EngineBrokenError):
            raise
        except ChatError as error:
            logger.info("Message %s gets a sentence: %s", message_id, type(error).__name__)
            return await self._outbox.notify(courier, ticket, error)
        if ticket.said.text != said.text:
            with suppress(StoreUnavailableError):  # it was edited while its reply was made
                await self._history.revise(message_id, ticket.said.text)
        return await self._outbox.send(courier, ticket, reply)

    async def _respond(self, ticket: Ticket) -> tuple[Utterance, Reply]:
        """What was said, and the reply; asked for once more where the engine got stuck.

        It is begun while the utterance is noted. Raises WithdrawnError for a repeated one.
        """
        try:
            return await self._respond_once(ticket)
        except EngineStuckError:
            logger.info("Message %s waits for a new engine.", ticket.said.message_id)
            return await self._respond_once(ticket)
        finally:
            if not await asyncio.shield(ticket.recording):
                raise WithdrawnError

    async def _respond_once(self, ticket: Ticket) -> tuple[Utterance, Reply]:
        said = ticket.said  # read at the last moment: an edit may have come
        return said, await self._conversation.respond(said, ticket.cancellation, ticket.recording)

    async def _apologise(self, ticket: Ticket) -> None:
        """Say that a fault of ours came between; the message is not tried again."""
        try:
            if self._courier is not None:
                await self._outbox.notify(self._courier, ticket, OwnFaultError())
            await self._close(ticket.said.message_id)
        except Exception:
            # The worker has to go on: other messages wait behind this one.
            logger.exception("Message %s got no apology either.", ticket.said.message_id)

    async def _record(self, said: Utterance) -> bool:
        """Note `said` in the inbox; whether it is new. Without a database it counts as new."""
        try:
            return await self._inbox.record(said)
        except StoreUnavailableError:
            return True

    async def _close(self, message_id: int) -> None:
        with suppress(StoreUnavailableError):
            await self._inbox.close(message_id)

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
            await self._close(said.message_id)
            return
        self._admission.readmit(said.author_id)
        self._enqueue(left_over(entry))
