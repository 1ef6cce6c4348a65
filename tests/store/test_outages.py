"""A database that is locked, full, read-only or away fails soon and works again afterwards."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from bot.answering.erasures import Erasures
from bot.delivery.facts import Facts
from bot.errors import DatabaseError, StoreUnavailableError
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.fact_file import FactFile
from bot.store.history import SqlHistory
from bot.store.servers import SqlServers
from bot.store.upkeep.by_hand import check
from bot.store.upkeep.opening import open_database
from tests.fakes import ScriptedEngine
from tests.store.talk import CHANNEL, count, draft, said, talk, texts


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
    await database.read(lambda connection: connection.execute(text(f"PRAGMA {pragma}")))


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


async def test_changes_of_messages_that_are_not_ours_write_nothing(
    sqlite_database: Database, sqlite_history: SqlHistory
) -> None:
    await talk(sqlite_history, said(1))
    with locked_by_another(sqlite_database):
        await sqlite_history.withdraw([2, 3])
        await sqlite_history.revise(2, "hello")
        await sqlite_history.revise(2, "")
        for ours in (sqlite_history.withdraw([2, 1]), sqlite_history.revise(1, "hello")):
            with pytest.raises(StoreUnavailableError):
                await ours


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
    assert await check(str(sqlite_database.address.url)) == []


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

    drop = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(StoreUnavailableError):
        await database.write(lambda connection: connection.execute(drop))
    await talk(history, said(2))
    assert await count(database, tables.turn) == 4
    await database.close()


async def test_a_row_that_another_locks_is_an_outage(postgres_url: str, tmp_path: Path) -> None:
    database = await open_database(
        postgres_url, history_key="off", key_path=tmp_path / "key", busy_seconds=0.1
    )
    history = SqlHistory(database, origin="discord")
    await history.reset(CHANNEL)
    other = create_async_engine(postgres_url)
    async with other.begin() as connection:
        await connection.execute(text("LOCK TABLE conversation IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StoreUnavailableError):
            await history.reset(CHANNEL)
    await other.dispose()
    await history.reset(CHANNEL)
    await database.close()


async def test_a_deletion_is_repeated_when_a_table_that_another_locks_is_free(
    postgres_url: str, tmp_path: Path
) -> None:
    database = await open_database(
        postgres_url, history_key="off", key_path=tmp_path / "key", busy_seconds=0.1
    )
    history = SqlHistory(database, origin="discord")
    await talk(history, said(1, "my secret"))
    is_free = asyncio.Event()

    async def pause(seconds: float) -> None:
        await is_free.wait()

    facts = Facts(
        history=history,
        servers=SqlServers(database),
        erasures=Erasures(ScriptedEngine()),
        file=FactFile(tmp_path / "history.facts"),
        pause=pause,
    )
    other = create_async_engine(postgres_url)
    async with other.begin() as connection:
        await connection.execute(text("LOCK TABLE turn IN EXCLUSIVE MODE"))
        await facts.withdraw([1])
        assert (tmp_path / "history.facts").read_text() == "withdraw 1\n"
    await other.dispose()
    is_free.set()
    while (tmp_path / "history.facts").exists():  # noqa: ASYNC110  # there is nothing else to wait for
        await asyncio.sleep(0)
    head = await history.head(CHANNEL)
    assert await history.path(head.turn_id or 0, 9) == []
    await facts.stop()
    await database.close()


async def test_a_server_that_is_away_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    url = f"postgresql+asyncpg://banter:secret@/banter?host={tmp_path}"
    with pytest.raises(DatabaseError, match=r"cannot be reached .* start its server") as refused:
        await open_database(url, history_key="off", key_path=tmp_path / "key")
    assert "secret" not in str(refused.value)
