"""Runs units of work, each in a transaction of its own.

On SQLite, those that are asked for at one moment share a trip to a connection's thread. A message
is noted and its conversation is read at one moment: two threads would wait for each other, beside
a model that computes; in one, the second takes half the time, since what it needs is in the
processor's caches. Whoever reads goes first: a person waits for that. The connections stay open,
and a trip is three turns of the event loop; through SQLAlchemy's pool and aiosqlite's futures it
was twelve, each of which waits for Python's lock.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.store.connect import READING
from bot.store.one_trip import send_off

T = TypeVar("T")
Unit = Callable[[Connection], T]
Options = Mapping[str, Any]  # of a connection: see bot.store.connect
NUM_LANES = 4  # of 5 connections: one is left for what runs outside of a transaction


class Units(Protocol):
    """Where units of work are run."""

    async def run(self, unit: Unit[T], options: Options) -> T:
        """The result of `unit`: all that it writes becomes true, or nothing."""
        ...

    async def close(self) -> None:
        """Give back what is kept; nothing may run any more."""
        ...


class PooledUnits:
    """Units on PostgreSQL: each in a connection of the pool, and on the event loop."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def run(self, unit: Unit[T], options: Options) -> T:
        """See Units."""

        def in_transaction(connection: Connection) -> T:
            with connection.begin():
                return unit(connection)

        async with self._engine.execution_options(**options).connect() as connection:
            return await connection.run_sync(in_transaction)

    async def close(self) -> None:
        """See Units."""


@dataclass(slots=True, eq=False)
class _Job:
    """A unit of work, who waits for it, and what became of it."""

    unit: Unit[Any]
    options: Options
    outcome: "asyncio.Future[Any]"
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    result: Any = None
    error: BaseException | None = field(default_factory=partial(RuntimeError, "never done"))

    def do(self, connection: Connection) -> None:
        """Do it; called in the connection's thread."""
        try:
            connection.execution_options(**self.options)
            with connection.begin():
                self.result = self.unit(connection)
            self.error = None
        except BaseException as error:
            self.error = error

    def tell(self) -> None:
        """Tell whoever waits; called on the event loop."""
        self.is_over.set()
        if self.outcome.done():  # they were cancelled
            return
        if self.error is None:
            self.outcome.set_result(self.result)
        else:
            self.outcome.set_exception(self.error)


class SqliteUnits:
    """Units on SQLite: each in a connection that stays open, and in its thread."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._asked: list[_Job] = []  # at this moment
        self._crowds: deque[Sequence[_Job]] = deque()  # for whom no lane was free
        self._idle: list[AsyncConnection] = []
        self._num_lanes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def run(self, unit: Unit[T], options: Options) -> T:
        """See Units. A cancel waits for the end of `unit`, and what it wrote stands."""
        loop = asyncio.get_running_loop()
        job = _Job(unit, options, loop.create_future())
        if not self._asked:
            loop.call_soon(self._depart)
        self._asked.append(job)
        try:
            result: T = await job.outcome
        except asyncio.CancelledError:
            while not job.is_over.is_set():
                with suppress(asyncio.CancelledError):  # the first one is raised in the end
                    await job.is_over.wait()
            raise
        return result

    async def close(self) -> None:
        """See Units; a lane that is still busy is closed when it comes back."""
        self._is_closed = True
        while self._idle:
            await self._close(self._idle.pop())
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _depart(self) -> None:
        jobs = sorted(self._asked, key=lambda job: job.options is not READING)
        self._asked.clear()
        if self._idle:
            self._send(self._idle.pop(), jobs)
        else:
            self._crowds.append(jobs)
            self._open_if_needed()

    def _send(self, lane: AsyncConnection, jobs: Sequence[_Job]) -> None:
        on_loop = asyncio.get_running_loop().call_soon_threadsafe

        def do_all(connection: Connection) -> None:
            for job in jobs[:-1]:
                job.do(connection)
                on_loop(job.tell)
            jobs[-1].do(connection)

        send_off(lane, do_all, partial(on_loop, self._arrive, lane, jobs))

    def _arrive(self, lane: AsyncConnection, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            if not job.is_over.is_set():
                job.tell()
        plain = lane.sync_connection
        if plain is None or plain.invalidated or plain.in_transaction():
            self._spawn(self._close(lane))
        else:
            self._go_on(lane)

    def _go_on(self, lane: AsyncConnection) -> None:
        if self._crowds:
            self._send(lane, self._crowds.popleft())
        elif self._is_closed:
            self._spawn(self._close(lane))
        else:
            self._idle.append(lane)

    def _open_if_needed(self) -> None:
        if self._crowds and self._num_lanes < NUM_LANES:
            self._num_lanes += 1
            self._spawn(self._open())

    async def _open(self) -> None:
        """Open a lane; where that fails, everybody fails who has no other one to wait for."""
        try:
            lane = await self._engine.connect()
        except Exception as error:
            self._num_lanes -= 1
            if not self._num_lanes:
                self._fail_all(error)
        else:
            self._go_on(lane)

    async def _close(self, lane: AsyncConnection) -> None:
        """Close a lane that cannot be used again, or is not needed any more."""
        try:
            await lane.close()
        finally:
            self._num_lanes -= 1
            self._open_if_needed()

    def _fail_all(self, error: Exception) -> None:
        while self._crowds:
            for job in self._crowds.popleft():
                job.error = error
                job.tell()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
