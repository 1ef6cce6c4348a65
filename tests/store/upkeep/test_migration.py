"""From nothing, from an older schema, from a newer one, and from what is no database."""

import asyncio
import logging
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from bot.errors import DatabaseError
from bot.store.database import tables
from bot.store.database.connect import address_of
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.upkeep import migration
from bot.store.upkeep.migration import migrate
from bot.store.upkeep.opening import open_database
from tests.store.talk import CHANNEL, count, rows, said, talk, texts

OLDER = Path(__file__).parent / "older_0001.sql"


@pytest.fixture
def older_url(sqlite_url: str, tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "banter.db")) as old:
        old.executescript(OLDER.read_text())
    return sqlite_url


async def opened(url: str, tmp_path: Path) -> Database:
    return await open_database(url, history_key="off", key_path=tmp_path / "history.key")


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, tables.METADATA))


async def test_a_new_database_has_the_schema_of_the_code(database: Database) -> None:
    assert await database.read(differences) == []


async def test_a_difference_would_be_seen(url: str, tmp_path: Path) -> None:
    database = await opened(url, tmp_path)
    await database.write(lambda one: one.execute(text("DROP INDEX ix_turn_parent_id")))
    assert len(await database.read(differences)) == 1
    await database.close()


async def test_an_older_database_is_upgraded_with_its_rows(older_url: str, tmp_path: Path) -> None:
    database = await opened(older_url, tmp_path)
    assert await database.read(differences) == []
    history = SqlHistory(database, origin="discord")
    head = await history.head(CHANNEL)
    assert texts(await history.path(head.turn_id or 0, 9)) == ["hello", "hi"]
    assert await history.turn_of_message(71) is not None
    for table in (tables.candidate, tables.inbox, tables.sampling_override):
        assert await count(database, table) == 1
    talked, reset = await rows(database, tables.conversation)
    assert talked["touched_at"] == datetime(2026, 2, 1, 10, 0, 2, tzinfo=UTC)
    assert (reset["epoch"], reset["touched_at"].tzinfo) == (3, UTC)
    assert (await talk(history, said(12))).user.turn_id == 3
    await database.close()


BEFORE_0004 = (
    "ALTER TABLE turn DROP COLUMN parent_channel_id",
    "ALTER TABLE conversation DROP COLUMN parent_channel_id",
    "ALTER TABLE inbox DROP COLUMN application_id",
    "ALTER TABLE inbox DROP COLUMN not_before",
    "DROP TABLE lease",
    "UPDATE alembic_version SET version_num = '0003'",
)


async def test_the_schema_before_is_upgraded_with_its_rows(url: str, tmp_path: Path) -> None:
    """What 0004 adds is empty in rows that stood before."""
    database = await opened(url, tmp_path)
    exchange = await talk(SqlHistory(database, origin="discord"), said(11))
    await SqlInbox(database).record(said(12))
    await database.execute(*map(text, BEFORE_0004))
    await database.close()
    database = await opened(url, tmp_path)
    assert await database.read(differences) == []
    history = SqlHistory(database, origin="discord")
    assert texts(await history.path(exchange.bot.turn_id, 9)) == ["hello", "hi"]
    assert [row["parent_channel_id"] for row in await rows(database, tables.turn)] == [None, None]
    (waiting,) = await rows(database, tables.inbox)
    assert (waiting["application_id"], waiting["not_before"]) == (None, None)
    assert [entry.said for entry in await SqlInbox(database).unfinished()] == [said(12)]
    assert await count(database, tables.lease) == 0
    await database.close()


async def test_what_an_upgraded_table_refers_to_still_counts(
    older_url: str, tmp_path: Path
) -> None:
    database = await opened(older_url, tmp_path)
    await database.write(lambda connection: connection.execute(tables.turn.delete()))
    assert (await SqlHistory(database, origin="discord").head(CHANNEL)).turn_id is None
    assert await count(database, tables.candidate) == 0
    assert await count(database, tables.reply_message) == 0
    await database.close()


async def test_an_upgrade_leaves_one_private_backup(older_url: str, tmp_path: Path) -> None:
    backup = tmp_path / "banter.db.backup"
    backup.write_bytes(b"of an earlier upgrade")
    await migrate(address_of(older_url))
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(backup)) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert copy.execute("SELECT count(*) FROM turn").fetchall() == [(2,)]
    assert {path.name for path in tmp_path.iterdir()} == {"banter.db", "banter.db.backup"}


async def test_the_next_start_shreds_what_a_kill_left_of_a_copy(
    sqlite_url: str, tmp_path: Path
) -> None:
    await migrate(address_of(sqlite_url))
    half, same_file = tmp_path / "banter.db.backup.new", tmp_path / "same file"
    half.write_bytes(b"words")
    same_file.hardlink_to(half)
    assert not await migrate(address_of(sqlite_url))
    assert not half.exists()
    assert same_file.read_bytes() == bytes(5)


async def test_a_copy_that_another_start_is_making_is_left_alone(
    older_url: str, tmp_path: Path
) -> None:
    half = tmp_path / "banter.db.backup.new"
    half.write_bytes(b"words")
    with closing(sqlite3.connect(tmp_path / "banter.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="Another program holds"):
            await migrate(address_of(older_url), wait_seconds=0.1)
    assert half.read_bytes() == b"words"


async def test_nothing_to_migrate_needs_no_backup(sqlite_url: str, tmp_path: Path) -> None:
    assert await migrate(address_of(sqlite_url))
    assert not await migrate(address_of(sqlite_url))
    assert [path.name for path in tmp_path.iterdir()] == ["banter.db"]


async def test_of_two_starts_at_once_one_migrates(url: str) -> None:
    results = await asyncio.gather(*(migrate(address_of(url)) for _ in range(3)))
    assert sorted(results) == [False, False, True]


async def test_two_starts_at_once_keep_the_backup_of_the_older_schema(
    older_url: str, tmp_path: Path
) -> None:
    results = await asyncio.gather(*(migrate(address_of(older_url)) for _ in range(3)))
    assert sorted(results) == [False, False, True]
    with closing(sqlite3.connect(tmp_path / "banter.db.backup")) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]


async def test_a_step_that_fails_leaves_the_old_schema(
    older_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = migration._run_scripts

    def run_and_fail(connection: Connection) -> None:
        run(connection)
        connection.execute(text("INSERT INTO candidate VALUES (9, 404, 1, x'', '{}')"))

    monkeypatch.setattr(migration, "_run_scripts", run_and_fail)
    before = (tmp_path / "banter.db").read_bytes()
    with pytest.raises(DatabaseError, match="table candidate"):
        await migrate(address_of(older_url))
    assert (tmp_path / "banter.db").read_bytes() == before


@pytest.mark.parametrize("revision", ["9999", "abc"])
async def test_a_newer_database_is_refused(url: str, tmp_path: Path, revision: str) -> None:
    database = await opened(url, tmp_path)
    newer = text("UPDATE alembic_version SET version_num = :revision")
    await database.write(lambda connection: connection.execute(newer, {"revision": revision}))
    await database.close()
    with pytest.raises(DatabaseError, match="newer Banter"):
        await opened(url, tmp_path)


async def test_the_database_of_another_program_is_refused_and_not_touched(
    sqlite_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "banter.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="another program"):
        await opened(sqlite_url, tmp_path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_not_touched(
    sqlite_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "banter.db"
    path.write_text("a shopping list that is longer than a hundred bytes " * 40)
    with pytest.raises(DatabaseError, match="is not a database"):
        await opened(sqlite_url, tmp_path)
    assert path.read_text().startswith("a shopping list")


async def test_a_damaged_database_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    await (await opened(sqlite_url, tmp_path)).close()
    path = tmp_path / "banter.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xaa" * (len(whole) - 4096))
    with pytest.raises(DatabaseError, match="is damaged"):
        await opened(sqlite_url, tmp_path)


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="cannot be made"):
        await opened(f"sqlite+aiosqlite:///{tmp_path}/file/banter.db", tmp_path)


async def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "banter.db").mkdir()
    with pytest.raises(DatabaseError, match="cannot be written"):
        await opened(f"sqlite+aiosqlite:///{tmp_path}/banter.db", tmp_path)


def test_a_file_that_cannot_be_opened_leaves_no_thread_that_complains(tmp_path: Path) -> None:
    """A thread of aiosqlite that ends after its event loop would write a traceback."""
    (tmp_path / "banter.db").mkdir()
    address = address_of(f"sqlite+aiosqlite:///{tmp_path}/banter.db")
    before = set(threading.enumerate())
    for _ in range(20):
        with pytest.raises(DatabaseError, match="cannot be written"):
            asyncio.run(migrate(address))
    assert not set(threading.enumerate()) - before


async def test_a_read_only_file_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    await (await opened(sqlite_url, tmp_path)).close()
    read_only = f"sqlite+aiosqlite:///file:{tmp_path}/banter.db?mode=ro&uri=true"
    with pytest.raises(DatabaseError, match="cannot be written"):
        await opened(read_only, tmp_path)


async def test_a_database_that_another_program_locks_is_refused(
    older_url: str, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "banter.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match="Another program holds"):
            await migrate(address_of(older_url), wait_seconds=0.1)


async def test_logging_stays_as_it_was_set_up(sqlite_url: str) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("bot").disabled)
    await migrate(address_of(sqlite_url))
    assert (list(root.handlers), root.level, logging.getLogger("bot").disabled) == before
