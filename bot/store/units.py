"""Runs units of work, each in a transaction of its own.

On SQLite, those that are asked for at one moment share a trip to a connection's thread. A message
is noted and its conversation is read at one moment: two threads would wait for each other, beside
a model that computes; in one, the second takes half the time, since what it needs is in the
processor's caches. Whoever reads goes first: a person waits for that. The connections stay open,
and a trip is three turns of the event loop; through SQLAlchemy's pool and aiosqlite's futures it
was twelve, each of which waits for Python's lock.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.store.connect import NUM_CONNECTIONS, READING
from bot.store.one_trip import send_off

T = TypeVar("T")
Unit = Callable[[Connection], T]
Options = Mapping[str, Any]  # of a connection: see bot.store.connect
NUM_LANES = NUM_CONNECTIONS - 1  # one is left for what runs outside of a transaction


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

        async with self._engine.connect() as connection:
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
        """Do it, if somebody still waits; called in the connection's thread."""
        if self.outcome.cancelled():
            return
        try:
            connection.execution_options(**self.options)
            with connection.begin():
                self.result = self.unit(connection)
            self.error = None
        except BaseException as error:
            self.error = error
            # SQLAlchemy leaves a transaction open that COMMIT could not end.
            with suppress(SQLAlchemyError, sqlite3.Error):
                connection.connection.rollback()

    def tell(self) -> None:
        """Tell whoever waits; called on the event loop."""
        self.is_over.set()
        if self.outcome.done():  # they were cancelled
            return
        if self.error is None:
            self.outcome.set_result(self.result)
        elif isinstance(self.error, StopIteration):  # a future takes any other
            self.outcome.set_exception(RuntimeError("a unit of work raised StopIteration"))
        else:
            self.outcome.set_exception(self.error)


@dataclass(slots=True, eq=False)
class _Trip:
    """The units of one moment; `patience` ends its waiting for a lane."""

    jobs: Sequence[_Job]
    patience: asyncio.TimerHandle | None = None


class SqliteUnits:
    """Units on SQLite: each in a connection that stays open, and in its thread."""

    def __init__(self, engine: AsyncEngine, busy_seconds: float) -> None:
        """`busy_seconds`: how long a unit waits for a lane, at most."""
        self._engine = engine
        self._busy_seconds = busy_seconds
        self._asked: list[_Job] = []  # at this moment
        self._waiting: deque[_Trip] = deque()  # for a lane
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
            await self._idle.pop().close()
            self._num_lanes -= 1
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _depart(self) -> None:
        jobs = sorted(self._asked, key=lambda job: job.options is not READING)
        self._asked.clear()
        if self._idle:
            self._send(self._idle.pop(), jobs)
        else:
            self._wait(_Trip(jobs))

    def _wait(self, trip: _Trip) -> None:
        self._waiting.append(trip)
        if self._num_lanes < NUM_LANES:
            self._open_if_needed()  # which has its own limit
        else:
            loop = asyncio.get_running_loop()
            trip.patience = loop.call_later(self._busy_seconds, self._give_up, trip)

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
        if self._waiting:
            self._send(lane, self._next_jobs())
        elif self._is_closed:
            self._spawn(self._close(lane))
        else:
            self._idle.append(lane)

    def _next_jobs(self) -> Sequence[_Job]:
        trip = self._waiting.popleft()
        if trip.patience is not None:
            trip.patience.cancel()
        return trip.jobs

    def _open_if_needed(self) -> None:
        if self._waiting and self._num_lanes < NUM_LANES:
            self._num_lanes += 1
            self._spawn(self._open())

    async def _open(self) -> None:
        """Open a lane; where that fails, everybody fails who has no other one to wait for."""
        try:
            lane = await self._engine.connect()
        except BaseException as error:
            self._num_lanes -= 1
            if not self._num_lanes:
                while self._waiting:
                    _fail(self._next_jobs(), error)
            if not isinstance(error, Exception):
                raise
        else:
            self._go_on(lane)

    async def _close(self, lane: AsyncConnection) -> None:
        """Close a lane that cannot be used again, or is not needed any more."""
        try:
            await lane.invalidate()
            await lane.close()
        finally:
            self._num_lanes -= 1
            self._open_if_needed()

    def _give_up(self, trip: _Trip) -> None:
        """Who still waits for a lane hears that the database is away."""
        self._waiting.remove(trip)
        _fail(trip.jobs, TimeoutError(f"no connection was free for {self._busy_seconds:g} s"))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _fail(jobs: Sequence[_Job], error: BaseException) -> None:
    for job in jobs:
        job.error = error
        job.tell()
