"""When the file is written anew, and when not; what is left on the disk is in test_disk.py."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from bot.dialogue.sampling import Layer, Place
from bot.errors import StoreUnavailableError
from bot.store.database.database import Database
from bot.store.database.scrubbing import shred_all
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.privacy import SqlPrivacy
from bot.store.sampling import SqlSampling
from bot.store.servers import SqlServers
from bot.store.upkeep.opening import open_database
from bot.store.upkeep.retention import Retention
from tests.store.talk import ANNA, BEN, Clock, said, sure_retention, talk

STRANGER = 12345
SECRET = "CANARY-of-Anna"


class Vacuums:
    """Counts how often the file of a database is written anew."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        event.listen(database._engine.sync_engine, "before_cursor_execute", self._see)

    def _see(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.count += statement == "VACUUM"


@pytest.fixture
def vacuums(sqlite_database: Database) -> Vacuums:
    return Vacuums(sqlite_database)


@pytest.fixture
def privacy(sqlite_database: Database) -> SqlPrivacy:
    return SqlPrivacy(sqlite_database)


@pytest.fixture
def reader(sqlite_database: Database) -> Iterator[sqlite3.Connection]:
    """A reader that may keep the log from being emptied."""
    connection = sqlite3.connect(sqlite_database.address.path or "", isolation_level=None)
    yield connection
    connection.close()


def read_on(reader: sqlite3.Connection) -> None:
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM turn").fetchall()


async def test_an_erasure_of_no_words_does_not_write_the_file_anew(
    sqlite_database: Database,
    sqlite_history: SqlHistory,
    privacy: SqlPrivacy,
    vacuums: Vacuums,
) -> None:
    await talk(sqlite_history, said(1))
    await privacy.erase(ANNA)
    assert vacuums.count == 1
    for _ in range(3):
        await SqlServers(sqlite_database).save_locale(ANNA, "ko")
        place = Place(900, 500, ANNA)
        await SqlSampling(sqlite_database).save(Layer.MEMBER, place, {"top_k": 3})
        await privacy.erase(ANNA)
    assert vacuums.count == 1


async def test_a_message_that_only_waited_is_scrubbed_too(
    sqlite_database: Database, privacy: SqlPrivacy, vacuums: Vacuums, tmp_path: Path
) -> None:
    await SqlInbox(sqlite_database).record(said(1, SECRET))
    await privacy.erase(ANNA)
    assert vacuums.count == 1
    assert not [path for path in tmp_path.iterdir() if SECRET.encode() in path.read_bytes()]


async def test_a_scrub_that_failed_is_due_after_a_restart(
    sqlite_url: str, tmp_path: Path, sqlite_database: Database, reader: sqlite3.Connection
) -> None:
    await talk(SqlHistory(sqlite_database, origin="discord"), said(1, SECRET))
    read_on(reader)
    with pytest.raises(StoreUnavailableError):
        await SqlPrivacy(sqlite_database).erase(ANNA)
    await sqlite_database.close()
    reader.close()
    again = await open_database(sqlite_url, history_key="off", key_path=tmp_path / "history.key")
    vacuums = Vacuums(again)
    await SqlPrivacy(again).erase(STRANGER)
    await SqlPrivacy(again).erase(STRANGER)
    await again.close()
    assert vacuums.count == 1


async def test_a_sweep_finishes_an_erasure_whose_scrub_failed(
    sqlite_database: Database,
    sqlite_history: SqlHistory,
    privacy: SqlPrivacy,
    reader: sqlite3.Connection,
    vacuums: Vacuums,
) -> None:
    await talk(sqlite_history, said(1, SECRET))
    read_on(reader)
    with pytest.raises(StoreUnavailableError):
        await privacy.erase(ANNA)
    reader.close()
    before = vacuums.count
    retention = Retention(sqlite_database, retention_days=30)
    await retention.sweep()
    await retention.sweep()
    assert vacuums.count == before + 1
    path = sqlite_database.address.path
    assert path is not None
    assert SECRET.encode() not in path.read_bytes()


async def test_what_went_with_age_is_scrubbed_at_the_next_erasure_and_not_before(
    sqlite_database: Database,
    clock: Clock,
    privacy: SqlPrivacy,
    vacuums: Vacuums,
) -> None:
    await talk(SqlHistory(sqlite_database, origin="discord", clock=clock), said(1))
    clock.move(days=31)
    assert await sure_retention(sqlite_database, clock).sweep() == 2
    assert vacuums.count == 0
    await privacy.erase(STRANGER)
    await privacy.erase(STRANGER)
    assert vacuums.count == 1


async def test_of_three_scrubs_at_once_one_is_made(
    sqlite_database: Database, sqlite_history: SqlHistory, vacuums: Vacuums
) -> None:
    await talk(sqlite_history, said(1))
    await SqlPrivacy(sqlite_database).erase(ANNA)
    before = vacuums.count
    due = "INSERT INTO server_setting VALUES (0, 'scrub_due', 'x')"
    await sqlite_database.write(lambda connection: connection.exec_driver_sql(due))
    await asyncio.gather(*(sqlite_database.scrub_if_due() for _ in range(3)))
    assert vacuums.count == before + 1


async def test_erasures_at_once_leave_nothing_due(
    sqlite_database: Database, sqlite_history: SqlHistory, privacy: SqlPrivacy
) -> None:
    for number, author in enumerate((ANNA, BEN), start=1):
        await talk(sqlite_history, said(number, author_id=author))
    await asyncio.gather(privacy.erase(ANNA), privacy.erase(BEN), sqlite_database.scrub())
    assert await sqlite_database.due_scrub() is None


async def test_an_erasure_of_no_words_still_reaches_the_copies(
    sqlite_database: Database, privacy: SqlPrivacy
) -> None:
    backup, unfinished = sqlite_database.address.copies
    assert unfinished.name == "banter.db.backup.new"
    for path in (backup, unfinished):
        path.write_bytes(SECRET.encode())
    await privacy.erase(STRANGER)
    assert not backup.exists()
    assert not unfinished.exists()


def test_files_that_are_not_there_need_no_shredding(tmp_path: Path, clock: Clock) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"x")
    shred_all([tmp_path / "missing", there])
    shred_all([tmp_path / "missing"], older_than=clock())
    assert list(tmp_path.iterdir()) == []
