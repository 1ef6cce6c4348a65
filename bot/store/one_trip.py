"""A whole unit of work on SQLite in one trip to the connection's thread.

aiosqlite runs each call of a cursor (made, executed, fetched, closed) in the connection's thread,
and the event loop waits for each to come back. Beside a busy model every such trip waits for a
core and for Python's lock, and an answer took some eighty of them. Here a unit of work, a plain
function of a SQLAlchemy connection, goes to that thread as a whole.
"""

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

    def send_off(self, work: Callable[[], None], then: Callable[[], object]) -> None:
        """Do `work` in the thread, and then `then`; nobody waits here."""
        self._has_ended = False
        self._tx.put_nowait((None, partial(self._run, work, then)))

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

    def _run(self, work: Callable[[], None], then: Callable[[], object]) -> None:
        try:
            work()
        finally:
            self._has_ended = not self._conn.in_transaction
            then()


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


def send_off(
    connection: AsyncConnection, work: Callable[[Connection], None], then: Callable[[], object]
) -> None:
    """Let the connection's thread do `work`, and then `then` whatever became of it."""
    plain = connection.sync_connection
    driver = None if plain is None else plain.connection.driver_connection
    if not isinstance(driver, OneTripConnection):
        raise TypeError(f"no connection with a thread of its own: {driver!r}")
    driver.send_off(lambda: _complete(connection.run_sync(work)), then)


def _complete(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that finds everything done that it awaits; else it fails there."""
    go_on: Callable[[], Any] = partial(coroutine.send, None)
    while True:
        try:
            go_on()
        except StopIteration as end:
            result: T = end.value
            return result
        fault = RuntimeError("a unit of work waited for something outside of its thread")
        go_on = partial(coroutine.throw, fault)


def _fetched(cursor: sqlite3.Cursor, rows: Sequence[Any]) -> Fetched:
    fetched = Fetched(rows, cursor.description, cursor.rowcount, cursor.lastrowid)
    cursor.close()
    return fetched
