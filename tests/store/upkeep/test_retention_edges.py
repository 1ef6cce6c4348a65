"""Both sides of the moment at which something is old."""

import asyncio
import os
from datetime import timedelta

import pytest

from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.servers import SqlServers
from bot.store.upkeep.retention import Retention
from tests.store.talk import CHANNEL, NOON, Clock, count, said, sure_retention, talk

ONE_SECOND_MORE = [pytest.param(0, 1, id="to the second"), pytest.param(1, 0, id="a second more")]


@pytest.fixture
def retention(sqlite_database: Database, clock: Clock) -> Retention:
    return sure_retention(sqlite_database, clock)


@pytest.fixture
def stored(sqlite_database: Database, clock: Clock) -> SqlHistory:
    return SqlHistory(sqlite_database, origin="discord", clock=clock)


@pytest.mark.parametrize(("seconds", "num_left"), ONE_SECOND_MORE)
async def test_a_turn_is_kept_for_its_days(
    sqlite_database: Database,
    stored: SqlHistory,
    retention: Retention,
    clock: Clock,
    seconds: int,
    num_left: int,
) -> None:
    await talk(stored, said(1))
    clock.move(days=30, seconds=seconds)
    await retention.sweep()
    assert await count(sqlite_database, tables.turn) == 2 * num_left


@pytest.mark.parametrize(("seconds", "num_left"), ONE_SECOND_MORE)
async def test_other_rows_are_kept_for_the_same_days(
    sqlite_database: Database,
    stored: SqlHistory,
    retention: Retention,
    clock: Clock,
    seconds: int,
    num_left: int,
) -> None:
    """A reset of a scope, the part of a reply that is not remembered, a language."""
    await stored.reset(CHANNEL)
    await SqlInbox(sqlite_database, clock=clock).record_part(1, 0, 71)
    await SqlServers(sqlite_database, clock=clock).save_locale(7, "ko")
    clock.move(days=30, seconds=seconds)
    await retention.sweep()
    for table in (tables.conversation, tables.reply_message, tables.member_locale):
        assert await count(sqlite_database, table) == num_left, table


@pytest.mark.parametrize(("seconds", "num_left"), ONE_SECOND_MORE)
async def test_the_inbox_remembers_for_two_days(
    sqlite_database: Database, retention: Retention, clock: Clock, seconds: int, num_left: int
) -> None:
    await SqlInbox(sqlite_database, clock=clock).record(said(1))
    clock.move(days=2, seconds=seconds)
    await retention.sweep()
    assert await count(sqlite_database, tables.inbox) == num_left


@pytest.mark.parametrize(("seconds", "num_left"), ONE_SECOND_MORE)
async def test_a_backup_is_kept_for_seven_days(
    sqlite_database: Database, retention: Retention, clock: Clock, seconds: int, num_left: int
) -> None:
    backup = sqlite_database.address.backup_path
    assert backup is not None
    backup.write_bytes(b"an old copy")
    os.utime(backup, (NOON.timestamp(), NOON.timestamp()))
    clock.move(days=7, seconds=seconds)
    await retention.sweep()
    assert backup.exists() is bool(num_left)


async def test_it_sweeps_every_six_hours(sqlite_database: Database, clock: Clock) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        raise asyncio.CancelledError

    retention = sure_retention(sqlite_database, clock, pause=pause)
    with pytest.raises(asyncio.CancelledError):
        await retention.run()
    assert pauses == [timedelta(hours=6).total_seconds()]
