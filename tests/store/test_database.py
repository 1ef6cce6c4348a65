"""Opening, closing, and a database that is locked, full, read-only or away."""

import asyncio
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from bot.errors import DatabaseError, StoreUnavailableError
from bot.store import tables
from bot.store.database import Database, open_database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from tests.store.talk import CHANNEL, count, draft, said, talk, texts


@pytest.fixture
def sqlite_history(sqlite_database: Database) -> SqlHistory:
    return SqlHistory(sqlite_database, origin="discord")


@contextmanager
def locked_by_another(database: Database) -> Iterator[None]:
    other = sqlite3.connect(database.address.path or "", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


async def set_pragma(database: Database, pragma: str) -> None:
    """On the one connection that the pool holds while only one is used at a time."""
    async with database.reading() as connection:
        await connection.execute(text(f"PRAGMA {pragma}"))


async def pragma(database: Database, name: str) -> object:
    async with database.reading() as connection:
        return (await connection.execute(text(f"PRAGMA {name}"))).scalar_one()


async def test_every_connection_is_set_up(sqlite_database: Database) -> None:
    values = {"journal_mode": "wal", "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 100}
    for name, value in {**values, "synchronous": 1, "temp_store": 2}.items():
        assert await pragma(sqlite_database, name) == value


async def test_the_files_are_for_their_owner_only(
    sqlite_database: Database, sqlite_history: SqlHistory, tmp_path: Path
) -> None:
    await talk(sqlite_history, said(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("banter.db", "banter.db-wal", "banter.db-shm"), 0o600)


async def test_a_locked_database_fails_soon_and_works_again(
    sqlite_database: Database, sqlite_history: SqlHistory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await talk(sqlite_history, said(1, "before"))
    with locked_by_another(sqlite_database):
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await sqlite_history.reset(CHANNEL)
        assert time.monotonic() - started < 3
        head = await sqlite_history.head(CHANNEL)
        assert texts(await sqlite_history.path(head.turn_id or 0, 9)) == ["before", "hi"]
    await talk(sqlite_history, said(2, "after"))
    assert caplog.text.count("cannot be written: database is locked") == 1
    assert caplog.text.count("can be written again") == 1


async def test_many_who_wait_for_a_locked_database_wait_at_the_same_time(
    sqlite_database: Database, sqlite_history: SqlHistory
) -> None:
    with locked_by_another(sqlite_database):
        started = time.monotonic()
        results = await asyncio.gather(
            *(sqlite_history.reset(CHANNEL) for _ in range(30)), return_exceptions=True
        )
        assert all(isinstance(result, StoreUnavailableError) for result in results)
        assert time.monotonic() - started < 2
    await sqlite_history.reset(CHANNEL)


async def test_a_full_disk_loses_nothing_and_works_again(
    sqlite_database: Database, sqlite_history: SqlHistory
) -> None:
    await talk(sqlite_history, said(1, "before"))
    await set_pragma(sqlite_database, "max_page_count=1")
    head = await sqlite_history.head(CHANNEL)
    with pytest.raises(StoreUnavailableError):
        await sqlite_history.remember(draft(said(2, "x" * 100_000)), head)
    assert await count(sqlite_database, tables.turn) == 2
    assert await sqlite_history.head(CHANNEL) == head
    await set_pragma(sqlite_database, "max_page_count=1000000")
    await talk(sqlite_history, said(2, "x" * 100_000))
    assert await pragma(sqlite_database, "integrity_check") == "ok"


async def test_a_read_only_database_is_still_read(
    sqlite_database: Database, sqlite_history: SqlHistory
) -> None:
    exchange = await talk(sqlite_history, said(1))
    await set_pragma(sqlite_database, "query_only=ON")
    with pytest.raises(StoreUnavailableError):
        await sqlite_history.withdraw([1])
    assert len(await sqlite_history.path(exchange.bot.turn_id, 9)) == 2
    await set_pragma(sqlite_database, "query_only=OFF")
    await sqlite_history.withdraw([1])
    assert await sqlite_history.path(exchange.bot.turn_id, 9) == []


async def test_a_server_that_drops_its_connections_is_found_again(
    postgres_url: str, tmp_path: Path
) -> None:
    database = await open_database(postgres_url, history_key="off", key_path=tmp_path / "key")
    history = SqlHistory(database, origin="discord")
    await talk(history, said(1))

    async def be_dropped() -> None:
        async with database.writing() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StoreUnavailableError):
        await be_dropped()
    await talk(history, said(2))
    assert await count(database, tables.turn) == 4
    await database.close()


async def test_a_row_that_another_locks_is_an_outage(postgres_url: str, tmp_path: Path) -> None:
    database = await open_database(
        postgres_url, history_key="off", key_path=tmp_path / "key", busy_seconds=0.1
    )
    history = SqlHistory(database, origin="discord")
    await history.reset(CHANNEL)
    async with database.writing() as other:
        await other.execute(text("LOCK TABLE conversation IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StoreUnavailableError):
            await history.reset(CHANNEL)
    await history.reset(CHANNEL)
    await database.close()


async def test_a_server_that_is_away_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    url = f"postgresql+asyncpg://banter:secret@/banter?host={tmp_path}"
    with pytest.raises(DatabaseError, match="cannot be used") as refused:
        await open_database(url, history_key="off", key_path=tmp_path / "key")
    assert "secret" not in str(refused.value)


async def test_our_own_mistakes_are_no_outage(database: Database, inbox: SqlInbox) -> None:
    await inbox.record(said(1))

    async def insert_nonsense() -> None:
        values: dict[str, object] = {column.name: None for column in tables.inbox.columns}
        async with database.writing() as connection:
            await connection.execute(tables.inbox.insert().values({**values, "state": "secret"}))

    with pytest.raises(IntegrityError) as mistake:
        await insert_nonsense()
    assert "secret" not in str(mistake.value)


async def test_a_unit_of_work_that_fails_leaves_nothing(database: Database) -> None:
    async def fail_half_way() -> None:
        async with database.writing() as connection:
            await connection.execute(tables.server_setting.delete())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_half_way()
    assert await count(database, tables.server_setting) == 1


async def test_a_cancelled_unit_of_work_leaves_nothing_and_frees_the_lock(
    database: Database, history: SqlHistory
) -> None:
    working = asyncio.Event()

    async def work() -> None:
        async with database.writing() as connection:
            await connection.execute(tables.server_setting.delete())
            working.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await working.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(database, tables.server_setting) == 1
    await talk(history, said(1))


async def test_cancelling_in_the_middle_of_anything_poisons_nothing(
    database: Database, history: SqlHistory
) -> None:
    for steps in range(25):
        task = asyncio.create_task(talk(history, said(steps + 1)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    before = await count(database, tables.turn)
    await talk(history, said(100))
    assert await count(database, tables.turn) == before + 2
    assert before % 2 == 0


async def test_twenty_writers_at_once_all_succeed(history: SqlHistory) -> None:
    await asyncio.gather(*(history.reset(CHANNEL) for _ in range(20)))
    assert (await history.head(CHANNEL)).epoch == 20


def test_closing_leaves_no_thread_and_no_way_back(sqlite_url: str, tmp_path: Path) -> None:
    before = set(threading.enumerate())  # some of another test may be ending

    async def live() -> None:
        database = await open_database(
            sqlite_url, history_key="off", key_path=tmp_path / "history.key"
        )
        history = SqlHistory(database, origin="discord")
        await asyncio.gather(*(history.head(CHANNEL) for _ in range(10)))
        assert set(threading.enumerate()) - before
        await database.close()
        await database.close()
        with pytest.raises(StoreUnavailableError):
            await history.head(CHANNEL)

    asyncio.run(live())
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=1)  # the last instruction of a thread comes after its last answer
    assert not set(threading.enumerate()) - before
    assert [path.name for path in tmp_path.iterdir()] == ["banter.db"]


@pytest.mark.parametrize(
    "url", ["mysql://localhost/x", "nonsense", "sqlite+aiosqlite://", "sqlite:///:memory:"]
)
async def test_an_address_without_a_driver_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="DATABASE_URL must look like"):
        await open_database(url, history_key="off", key_path=tmp_path / "key")


async def test_the_driver_may_be_left_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/banter.db"
    database = await open_database(url, history_key="off", key_path=tmp_path / "key")
    await database.close()
    assert (tmp_path / "deep" / "er" / "banter.db").exists()
