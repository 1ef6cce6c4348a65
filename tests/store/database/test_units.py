"""Units of work that come at one moment, and the connections that they wait for."""

import asyncio
import gc
import threading
from collections.abc import Callable
from functools import partial

import aiosqlite
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from bot.errors import StoreUnavailableError
from bot.store.database import tables
from bot.store.database.connect import NUM_CONNECTIONS
from bot.store.database.database import Database
from tests.store.talk import count

ONE = text("SELECT 1")
DELETE = tables.server_setting.delete()
NONSENSE = text("SELECT nothing FROM nowhere")


def read_one(connection: Connection) -> int:
    return int(connection.scalar(ONE) or 0)


def holding(wait: Callable[[], object]) -> Callable[[Connection], bool]:
    """A unit whose statement stays in the thread of its connection until `wait` returns."""

    def hold(connection: Connection) -> bool:
        connection.connection.create_function("hold", 0, lambda: bool(wait()))
        return bool(connection.scalar(text("SELECT hold()")))

    return hold


async def test_a_unit_that_fails_leaves_those_beside_it_alone(sqlite_database: Database) -> None:
    def fail(_connection: Connection) -> None:
        raise ValueError("ours")

    first, second, third = await asyncio.gather(
        sqlite_database.read(fail),
        sqlite_database.read(lambda connection: connection.execute(NONSENSE)),
        sqlite_database.write(read_one),
        return_exceptions=True,
    )
    assert isinstance(first, ValueError)
    assert isinstance(second, StoreUnavailableError | OperationalError)
    assert third == 1
    assert await sqlite_database.read(read_one) == 1


async def test_readers_do_not_wait_for_a_writer(sqlite_database: Database) -> None:
    may_end = threading.Event()
    writing = asyncio.create_task(sqlite_database.write(holding(partial(may_end.wait, 10))))
    assert await sqlite_database.read(read_one) == 1
    assert not writing.done()
    may_end.set()
    assert await writing


async def test_more_units_than_connections_wait_for_their_turn(sqlite_database: Database) -> None:
    all_busy, may_end = threading.Barrier(NUM_CONNECTIONS + 1), threading.Event()

    def wait() -> bool:
        all_busy.wait(10)
        return may_end.wait(10)

    units = [sqlite_database.read(holding(wait)) for _ in range(NUM_CONNECTIONS)]
    held = [asyncio.create_task(unit) for unit in units]
    await asyncio.to_thread(all_busy.wait, 10)
    late = asyncio.create_task(sqlite_database.read(read_one))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not late.done()
    may_end.set()
    assert await asyncio.gather(*held) == [True] * NUM_CONNECTIONS
    assert await late == 1


async def test_a_unit_that_waits_too_long_for_a_connection_is_an_outage(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = threading.Event()
    hold = holding(partial(may_end.wait, 10))
    held = [asyncio.create_task(sqlite_database.read(hold)) for _ in range(NUM_CONNECTIONS)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailableError):
        await sqlite_database.read(read_one)
    (line,) = caplog.messages
    assert line == "The database cannot be read: no connection was free in time"
    may_end.set()
    assert await asyncio.gather(*held) == [True] * NUM_CONNECTIONS
    assert await sqlite_database.read(read_one) == 1


async def test_a_commit_that_fails_leaves_no_transaction_open(sqlite_database: Database) -> None:
    """SQLite keeps a transaction open whose COMMIT finds a foreign key that refers to nothing."""

    def break_a_reference(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        values = {"turn_id": 99, "rank": 1, "text": b"", "scores": {}}
        connection.execute(tables.candidate.insert().values(values))

    for _ in range(NUM_CONNECTIONS + 1):
        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            await sqlite_database.write(break_a_reference)
    assert await sqlite_database.write(read_one) == 1
    assert await count(sqlite_database, tables.candidate) == 0


async def test_a_commit_that_the_disk_refuses_leaves_no_transaction_open(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_connection: object) -> None:
        raise OSError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(aiosqlite.Connection, "commit", refuse)
        for _ in range(NUM_CONNECTIONS + 1):
            with pytest.raises(StoreUnavailableError):
                await sqlite_database.write(lambda connection: connection.execute(DELETE))
    assert await sqlite_database.write(read_one) == 1
    assert await count(sqlite_database, tables.server_setting) == 1


async def test_a_unit_that_runs_out_of_something_fails_like_any_other(
    sqlite_database: Database,
) -> None:
    with pytest.raises(RuntimeError):
        await sqlite_database.read(lambda _: next(iter(())))


async def test_a_statement_that_is_cancelled_in_its_thread_runs_to_its_end(
    sqlite_database: Database,
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def wait() -> bool:
        has_begun.set()
        return may_end.wait(10)

    def delete_and_hold(connection: Connection) -> None:
        connection.execute(DELETE)
        holding(wait)(connection)

    task = asyncio.create_task(sqlite_database.write(delete_and_hold))
    await asyncio.to_thread(has_begun.wait, 10)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(sqlite_database, tables.server_setting) == 0


async def test_a_file_that_cannot_be_opened_fails_every_unit_and_is_tried_again(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sqlite_database._engine.dispose()  # no connection is open any more

    def refuse(*_: object, **__: object) -> None:
        raise OSError("too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(aiosqlite, "connect", refuse)
        reading, writing = await asyncio.gather(
            sqlite_database.read(read_one), sqlite_database.write(read_one), return_exceptions=True
        )
    for outage in (reading, writing):
        assert isinstance(outage, StoreUnavailableError)
        assert str(outage.__cause__) == "too many open files"
    assert await sqlite_database.read(read_one) == 1


async def test_a_connection_that_comes_back_after_the_end_is_closed(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.database.database._CLOSE_SECONDS", 0.01)
    before = set(threading.enumerate())
    has_begun, may_end = threading.Event(), threading.Event()

    def wait() -> bool:
        has_begun.set()
        return may_end.wait(10)

    running = asyncio.create_task(sqlite_database.read(holding(wait)))
    await asyncio.to_thread(has_begun.wait, 10)
    await sqlite_database.close()
    assert not running.done()
    may_end.set()
    assert await running
    gc.collect()  # a connection that was left open would complain
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=1)
    threads = set(threading.enumerate()) - before
    assert not [thread for thread in threads if "connection_worker" in thread.name]
