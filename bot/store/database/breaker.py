"""What keeps a server that hangs from holding up everything that asks it.

A file has no need of it: SQLite's own timeout bounds each unit, whose end is waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from bot.errors import StoreUnavailableError

T = TypeVar("T")
PROBE_SECONDS = 5.0
_CANCEL_SECONDS = 2.0  # for a unit that is cancelled to take back what it did


class UnansweredError(TimeoutError):
    """A server did not answer in the time that a unit of work has."""


class Connections:
    """An engine's connections to a server, so that those which may hang can be cut.

    Cutting asks the server for nothing: a rollback, or the end of a statement, would hang too.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._all: WeakSet[Any] = WeakSet()
        self._lent: dict[asyncio.Task[Any] | None, Any] = {}

        @event.listens_for(engine.sync_engine, "connect")
        def note(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
            self._all.add(connection.driver_connection)

    @contextmanager
    def lent(self, connection: AsyncConnection) -> Iterator[None]:
        """The running task has `connection` while the block runs."""
        task = asyncio.current_task()
        raw = connection.sync_connection
        self._lent[task] = raw and raw.connection.driver_connection
        try:
            yield
        finally:
            self._lent.pop(task, None)

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, for which the caller waits so long; raises UnansweredError.

        A cancel stops it. Where its end does not come then, its connection is cut.
        """
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task}, timeout=seconds)
            if not task.done():
                raise UnansweredError(f"the server has not answered for {seconds:g} s")
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task}, timeout=min(seconds, _CANCEL_SECONDS))
            raise
        finally:
            if not task.done():
                self._give_up(task)
            elif not task.cancelled():
                task.exception()  # else asyncio logs it as one that was never retrieved
        return task.result()

    def cut(self) -> None:
        """Cut every connection that no unit has: a pool may wait for its answer as well."""
        for connection in self._all - set(self._lent.values()):
            connection.terminate()

    def _give_up(self, task: asyncio.Task[Any]) -> None:
        """Cut the connection of a unit, and those that wait in the pool: they may hang as well."""
        self._lent.pop(task, None)
        self.cut()
        task.cancel()
        task.add_done_callback(lambda done: done.cancelled() or done.exception())


class Breaker:
    """Open after a server did not answer in time: until it answers again, no unit asks it.

    `probe` asks the server for something, again and again after a pause.
    """

    def __init__(
        self, probe: Callable[[], Awaitable[object]], pause: Callable[[float], Awaitable[None]]
    ) -> None:
        self._probe = probe
        self._pause = pause
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether units fail at once."""
        return self._probing is not None

    def open(self) -> None:
        """Let units fail from now on, until a probe succeeds."""
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe_until_answered())

    def stop(self) -> None:
        """Probe no more."""
        if self._probing is not None:
            self._probing.cancel()

    async def _probe_until_answered(self) -> None:
        has_answered = False
        while not has_answered:
            await self._pause(PROBE_SECONDS)
            with suppress(StoreUnavailableError):
                await self._probe()
                has_answered = True
        self._probing = None
