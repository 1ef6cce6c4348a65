"""Opening, closing, and a database that is locked, full, read-only or away."""

import asyncio
import gc
import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from bot.dialogue.turn import Exchange, Scope
from bot.errors import DatabaseError, StoreUnavailableError
from bot.store.database import tables
from bot.store.database.connect import address_of, serving_engine
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.upkeep.opening import open_database
from tests.store.talk import CHANNEL, count, said, talk


def check_threads_ended(before: set[threading.Thread]) -> None:
    gc.collect()  # a connection that was left open would complain
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=1)  # the last instruction of a thread comes after its last answer
    assert not set(threading.enumerate()) - before


async def pragma(database: Database, name: str) -> object:
    return await database.read(lambda connection: connection.scalar(text(f"PRAGMA {name}")))


async def test_every_connection_is_set_up(sqlite_database: Database) -> None:
    values = {"journal_mode": "wal", "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 500}
    for name, value in {**values, "synchronous": 1, "temp_store": 2}.items():
        assert await pragma(sqlite_database, name) == value


async def test_the_files_are_for_their_owner_only(
    sqlite_database: Database, sqlite_history: SqlHistory, tmp_path: Path
) -> None:
    await talk(sqlite_history, said(1))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("banter.db", "banter.db-wal", "banter.db-shm"), 0o600)


async def test_our_own_mistakes_are_no_outage(database: Database, inbox: SqlInbox) -> None:
    await inbox.record(said(1))

    values: dict[str, object] = {column.name: None for column in tables.inbox.columns}
    nonsense = tables.inbox.insert().values({**values, "state": "secret"})
    with pytest.raises(IntegrityError) as mistake:
        await database.write(lambda connection: connection.execute(nonsense))
    assert "secret" not in str(mistake.value)


async def test_a_unit_of_work_that_fails_leaves_nothing(database: Database) -> None:
    def fail_half_way(connection: Connection) -> None:
        connection.execute(tables.server_setting.delete())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(fail_half_way)
    assert await count(database, tables.server_setting) == 1


async def test_a_cancel_waits_until_the_unit_of_work_is_over_and_frees_the_lock(
    sqlite_database: Database, sqlite_history: SqlHistory
) -> None:
    over = asyncio.Event()

    def delete_and_be_cancelled(connection: Connection) -> None:
        connection.execute(tables.server_setting.delete())
        for _ in range(2):
            task.cancel()
            connection.execute(text("SELECT 1"))
        over.set()

    task = asyncio.create_task(sqlite_database.write(delete_and_be_cancelled))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert over.is_set()
    assert await count(sqlite_database, tables.server_setting) == 0
    await talk(sqlite_history, said(1))


async def test_a_unit_of_work_that_fails_after_a_cancel_leaves_nothing_in_the_log(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def be_cancelled_and_fail(connection: Connection) -> None:
        connection.execute(tables.server_setting.delete())
        task.cancel()
        connection.execute(text("SELECT 1"))
        raise ValueError("ours")

    task = asyncio.create_task(sqlite_database.write(be_cancelled_and_fail))
    await asyncio.wait([task])
    assert task.cancelled()
    gc.collect()
    assert caplog.text == ""
    assert await count(sqlite_database, tables.server_setting) == 1


async def test_a_unit_of_work_that_is_cancelled_on_postgresql_leaves_nothing(
    postgres_url: str, tmp_path: Path
) -> None:
    database = await open_database(postgres_url, history_key="off", key_path=tmp_path / "key")
    working = asyncio.Event()

    def delete_and_wait(connection: Connection) -> None:
        connection.execute(tables.server_setting.delete())
        working.set()
        connection.execute(text("SELECT pg_sleep(60)"))

    before = await count(database, tables.server_setting)
    task = asyncio.create_task(database.write(delete_and_wait))
    await working.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(database, tables.server_setting) == before > 0
    await talk(SqlHistory(database, origin="discord"), said(1))
    await database.close()


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


async def test_cancelling_everything_as_a_loop_that_ends_poisons_nothing(
    database: Database, history: SqlHistory, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the tasks that units of work run in are cancelled, too.

    One whose rollback is cancelled has its connection dropped by the pool, which says so.
    """
    before = set(threading.enumerate())
    for steps in range(0, 60, 2):
        talking = [
            asyncio.create_task(talk(history, said(2 * steps + n, scope=Scope(n)))) for n in (1, 2)
        ]
        for _ in range(steps):
            await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*talking, *others, return_exceptions=True)
    assert await count(database, tables.turn) % 2 == 0
    await talk(history, said(1000))
    await database.close()
    check_threads_ended(before)
    told = {one.getMessage() for one in caplog.records}
    assert told <= {"Exception during reset or similar"}


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
    check_threads_ended(before)
    assert [path.name for path in tmp_path.iterdir()] == ["banter.db"]


async def test_closing_waits_for_the_units_that_are_open(
    sqlite_database: Database, sqlite_history: SqlHistory
) -> None:
    before = set(threading.enumerate())
    talking = [
        asyncio.create_task(talk(sqlite_history, said(n, scope=Scope(n)))) for n in range(1, 4)
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    assert sqlite_database._num_open
    await sqlite_database.close()
    results = await asyncio.gather(*talking, return_exceptions=True)
    assert all(isinstance(result, Exchange | StoreUnavailableError) for result in results)
    check_threads_ended(before)


async def test_writers_wait_longer_while_we_clean_up(
    sqlite_database: Database, sqlite_history: SqlHistory
) -> None:
    async with sqlite_database._scrub_lock, sqlite_database._writing("written"):
        waiting = asyncio.create_task(sqlite_history.reset(CHANNEL))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
    await waiting
    assert (await sqlite_history.head(CHANNEL)).epoch == 1


async def test_a_connection_that_cannot_be_set_up_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "banter.db").write_bytes(b"no database " * 100)
    engine = serving_engine(address_of(f"sqlite+aiosqlite:///{tmp_path}/banter.db"), 0.1)
    before = set(threading.enumerate())
    for _ in range(2):
        with pytest.raises(DBAPIError):
            await engine.connect()
    check_threads_ended(before)
    await engine.dispose()


async def test_a_connection_whose_setting_up_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    engine = serving_engine(address_of(f"sqlite+aiosqlite:///{tmp_path}/banter.db"), 0.1)
    before = set(threading.enumerate())

    async def connect() -> None:
        async with engine.connect():
            pass

    task = asyncio.create_task(connect())
    event.listen(engine.sync_engine, "connect", lambda *_: task.cancel(), insert=True)
    await asyncio.wait([task])
    assert task.cancelled()
    check_threads_ended(before)
    await engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://localhost/x",
        "nonsense",
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite:///a.db",
        "postgresql://u:p@host/db",
        "postgresql+asyncpg://u:p@host:abc/db",
        "postgresql+asyncpg://u:p@/db?host=a,b:x",
        "postgresql+asyncpg://u:p@h/db?prepared_statement_cache_size=few",
    ],
)
async def test_an_address_without_a_driver_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="DATABASE_URL must look like"):
        await open_database(url, history_key="off", key_path=tmp_path / "key")


async def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    url = "sqlite+aiosqlite:///~/bot/banter.db"
    for _ in range(2):
        await (await open_database(url, history_key="off", key_path=tmp_path / "key")).close()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert (tmp_path / "home" / "bot" / "banter.db").exists()
    assert address_of("sqlite+aiosqlite:///~nobody-of-this-name/banter.db").path == Path(
        "~nobody-of-this-name/banter.db"
    )


async def test_a_folder_named_tilde_of_an_older_version_keeps_its_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "banter.db").touch()
    assert address_of("sqlite+aiosqlite:///~/banter.db").path == Path("~/banter.db")


async def test_the_folders_of_a_new_database_are_made(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/deep/er/banter.db"
    database = await open_database(url, history_key="off", key_path=tmp_path / "key")
    await database.close()
    assert (tmp_path / "deep" / "er" / "banter.db").exists()
