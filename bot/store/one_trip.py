"""A whole unit of work on SQLite in one trip to the connection's thread.

aiosqlite runs each call of a cursor (made, executed, fetched, closed) in the connection's thread,
and the event loop waits for each to come back. Beside a busy model every such trip waits for a
core and for Python's lock, and an answer took some eighty of them. Here a unit of work, a plain
function of a SQLAlchemy connection, goes to that thread as a whole.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import get_ident
from typing import Any, TypeVar

from aiosqlite import Connection as ThreadedConnection
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")
_CHUNK_ROWS = 64  # aiosqlite's default, for cursors of its own; nobody makes such a one here


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a statement left: all of its rows, and a cursor's attributes as in PEP 249."""

    rows: Sequence[Any] = ()
    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None


class OneTripConnection(ThreadedConnection):
    """An aiosqlite.Connection whose calls, made in its own thread, are done at once.

    Elsewhere each of them is one trip.
    """

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(partial(sqlite3.connect, path, **options), _CHUNK_ROWS)
        self._thread.daemon = True  # a connection that is never closed keeps no program alive
        self._has_ended = True  # the last unit of work left no transaction behind

    def cursor(self) -> "OneTripCursor":  # type: ignore[override]  # no trip, so nothing to await
        """A cursor that holds nothing open."""
        return OneTripCursor(self)

    async def run_unit(self, work: Callable[[], T]) -> T:
        """The result of `work`, from the connection's thread; a cancel waits for its end."""
        trip = asyncio.ensure_future(self.there(partial(self._run_unit, work)))
        try:
            return await asyncio.shield(trip)
        except asyncio.CancelledError:
            while not trip.done():  # whoever lends this connection next must find it at rest
                await _waited(trip)
            raise

    async def there(self, call: Callable[[], T]) -> T:
        """The result of `call`, made in the connection's thread."""
        if get_ident() == self._thread.ident:
            return call()
        self._has_ended = False
        result: T = await self._execute(call)  # type: ignore[no-untyped-call]
        return result

    async def commit(self) -> None:
        """Commit."""
        if not self._has_ended:
            await self.there(self._conn.commit)

    async def rollback(self) -> None:
        """Roll back."""
        if not self._has_ended:
            await self.there(self._conn.rollback)

    def fetch(self, sql: str, parameters: Sequence[Any]) -> Fetched:
        """Execute one statement; call it in the thread."""
        cursor = self._conn.execute(sql, parameters)
        rows = cursor.fetchall() if cursor.description else ()
        return _fetched(cursor, rows)

    def fetch_many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> Fetched:
        """Execute one statement for each row of `parameters`; call it in the thread."""
        return _fetched(self._conn.executemany(sql, parameters), ())

    def _run_unit(self, work: Callable[[], T]) -> T:
        try:
            return work()
        finally:
            self._has_ended = not self._conn.in_transaction


class OneTripCursor:
    """What SQLAlchemy uses of an aiosqlite.Cursor."""

    def __init__(self, connection: OneTripConnection) -> None:
        self._connection = connection
        self._fetched = Fetched()

    async def __aenter__(self) -> "OneTripCursor":
        return self

    @property
    def description(self) -> Any:
        """The columns of the rows; None where the statement has none."""
        return self._fetched.description

    @property
    def rowcount(self) -> int:
        """How many rows were written; -1 where the statement writes none."""
        return self._fetched.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The id of the last row that was inserted."""
        return self._fetched.lastrowid

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Execute one statement and fetch all of its rows."""
        self._fetched = await self._connection.there(
            partial(self._connection.fetch, sql, parameters)
        )

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Execute one statement for each row of `parameters`."""
        self._fetched = await self._connection.there(
            partial(self._connection.fetch_many, sql, parameters)
        )

    async def fetchall(self) -> Sequence[Any]:
        """The rows of the statement."""
        return self._fetched.rows

    async def close(self) -> None:
        """Nothing is open any more."""


async def run_unit(connection: AsyncConnection, work: Callable[[Connection], T]) -> T:
    """The result of `work`, done in a transaction of its own: all of it becomes true, or nothing.

    PostgreSQL's driver has no thread: there `work` runs here, and every statement is awaited.
    """

    def in_transaction(plain: Connection) -> T:
        with plain.begin():
            return work(plain)

    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, OneTripConnection):
        return await connection.run_sync(in_transaction)
    return await driver.run_unit(lambda: _complete(connection.run_sync(in_transaction)))


def _complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that finds everything done that it awaits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a unit of work waited for something outside of its thread")


async def _waited(trip: "asyncio.Future[Any]") -> None:
    try:
        await asyncio.wait({trip})
    except asyncio.CancelledError:
        return  # the first cancel is raised in the end


def _fetched(cursor: sqlite3.Cursor, rows: Sequence[Any]) -> Fetched:
    fetched = Fetched(rows, cursor.description, cursor.rowcount, cursor.lastrowid)
    cursor.close()
    return fetched
