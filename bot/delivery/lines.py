"""The lines of the scopes: one worker a scope serves its tickets in order, one after another."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable

from bot.delivery.admission import Admission
from bot.delivery.facts import Facts
from bot.delivery.ports import Courier
from bot.delivery.responder import Responder
from bot.delivery.ticket import Ticket
from bot.dialogue.turn import Scope
from bot.errors import EngineBrokenError, EngineClosedError

logger = logging.getLogger(__name__)

NUM_REMEMBERED_IDS = 4096  # message ids kept in memory, for the times without a database


class Lines:
    """Serves tickets from `start` on, each with the place that it has in `admission`.

    `tickets`: what waits or is served, by its message. `finished`: messages that were served, and
    `left` those of them that are not done. `has_unfinished`: the inbox may hold rows that are not
    done and for which no ticket stands.
    """

    def __init__(self, responder: Responder, admission: Admission, facts: Facts) -> None:
        self._responder = responder
        self._admission = admission
        self._facts = facts
        self._lines: dict[Scope, deque[Ticket]] = {}
        self._workers: dict[Scope, asyncio.Task[None]] = {}
        self._courier: Courier | None = None
        self._is_stopping = False
        self.tickets: dict[int, Ticket] = {}
        self.finished: deque[int] = deque(maxlen=NUM_REMEMBERED_IDS)
        self.left: deque[int] = deque(maxlen=NUM_REMEMBERED_IDS)
        self.has_unfinished = True
        self.broken = asyncio.Event()  # set when the engine cannot be used again

    def add(self, ticket: Ticket) -> None:
        """Put a ticket at the end of its scope's line."""
        self.tickets[ticket.said.message_id] = ticket
        scope = ticket.said.scope
        self._lines.setdefault(scope, deque()).append(ticket)
        if scope not in self._workers and self._courier is not None:
            self._start_worker(scope, self._courier)

    def add_by_age(self, ticket: Ticket) -> None:
        """Put a ticket before those of younger messages that wait in its scope."""
        self.add(ticket)
        line = self._lines[ticket.said.scope]
        begun = [line.popleft()] if ticket.said.scope in self._workers else []
        waiting = _by_age(line)
        line.clear()  # the worker holds this very line
        line.extend([*begun, *waiting])

    def start(self, courier: Courier) -> None:
        """Begin to serve; what an earlier run left is older than what came while we started."""
        self._courier = courier
        for scope, line in self._lines.items():
            if scope not in self._workers:
                self._lines[scope] = deque(_by_age(line))
                self._start_worker(scope, courier)

    async def stop(self, within_seconds: float) -> None:
        """Begin no further ticket, and break off what does not finish in time."""
        self._is_stopping = True
        if workers := set(self._workers.values()):
            _, late = await asyncio.wait(workers, timeout=within_seconds)
            for worker in late:
                worker.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start_worker(self, scope: Scope, courier: Courier) -> None:
        self._workers[scope] = asyncio.create_task(
            self._work(scope, courier), name=f"scope {scope.channel_id}"
        )

    async def _work(self, scope: Scope, courier: Courier) -> None:
        line = self._lines[scope]
        try:
            while line and not self._is_stopping:
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
            del self.tickets[message_id]
            self._admission.release(ticket.said.author_id)
            self.finished.append(message_id)
            if not is_done:
                self.left.append(message_id)
            self._facts.ended(message_id)
            self.has_unfinished |= ticket.is_unclosed or not is_done


def _by_age(tickets: Iterable[Ticket]) -> list[Ticket]:
    """The tickets by the ids of their messages, which grow with time."""
    return sorted(tickets, key=lambda one: one.said.message_id)
