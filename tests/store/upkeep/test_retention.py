"""Old turns go by themselves, on both databases."""

import asyncio
import os
from datetime import datetime

import pytest

from bot.answering.ports import Head
from bot.dialogue.turn import Scope
from bot.errors import StoreUnavailableError
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.servers import SqlServers
from bot.store.upkeep.retention import SWEEP_SECONDS, Retention
from tests.store.talk import CHANNEL, NOON, Clock, count, rows, said, sure_retention, talk, texts


@pytest.fixture
def retention(database: Database, clock: Clock) -> Retention:
    return sure_retention(database, clock)


async def test_turns_go_after_their_time_and_younger_ones_stay(
    history: SqlHistory, retention: Retention, clock: Clock
) -> None:
    await talk(history, said(1, "old"))
    clock.move(days=20)
    young = await talk(history, said(2, "young", created_at=clock.now), "hi")
    assert await retention.sweep() == 0
    clock.move(days=10.1)
    assert await retention.sweep() == 2
    assert texts(await history.path(young.bot.turn_id, 9)) == ["young", "hi"]
    assert (await history.head(CHANNEL)).turn_id == young.bot.turn_id


async def test_what_keeps_words_elsewhere_is_told_when_turns_went(
    database: Database, history: SqlHistory, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[datetime] = []
    retention = sure_retention(database, clock, on_deleted=lambda: told.append(clock.now))
    await talk(history, said(1))
    await retention.sweep()
    assert told == []
    clock.move(days=31)
    await retention.sweep()
    await retention.sweep()
    assert told == [clock.now]

    async def fail_half_way(*_: object) -> int:
        raise StoreUnavailableError

    monkeypatch.setattr("bot.store.upkeep.retention.delete_turns", fail_half_way)
    await retention.attempt()
    assert told == [clock.now] * 2


async def test_a_scope_whose_turns_are_all_gone_starts_anew(
    database: Database, history: SqlHistory, retention: Retention, clock: Clock
) -> None:
    await talk(history, said(1))
    await history.reset(Scope(501))
    clock.move(days=31)
    assert await retention.sweep() == 2
    assert await history.head(CHANNEL) == Head()
    assert await count(database, tables.conversation) == 0
    assert (await talk(history, said(2, created_at=clock.now))).user.parent_id is None


async def test_a_reset_of_today_is_not_forgotten(history: SqlHistory, retention: Retention) -> None:
    await history.reset(CHANNEL)
    await retention.sweep()
    assert await history.head(CHANNEL) == Head(None, 1)


async def test_ids_of_deleted_turns_are_not_used_again(
    history: SqlHistory, retention: Retention, clock: Clock
) -> None:
    old = await talk(history, said(1))
    clock.move(days=31)
    await retention.sweep()
    new = await talk(history, said(2, created_at=clock.now))
    assert new.user.turn_id > old.bot.turn_id


async def test_the_inbox_forgets_after_two_days(
    database: Database, inbox: SqlInbox, retention: Retention, clock: Clock
) -> None:
    await inbox.record(said(1))
    clock.move(days=1)
    await inbox.record(said(2, created_at=clock.now))
    clock.move(days=1, minutes=1)
    await retention.sweep()
    assert [row["message_id"] for row in await rows(database, tables.inbox)] == [2]


async def test_parts_and_languages_go_with_their_turns(
    database: Database,
    history: SqlHistory,
    inbox: SqlInbox,
    retention: Retention,
    clock: Clock,
) -> None:
    servers = SqlServers(database, clock=clock)
    await talk(history, said(1))
    await inbox.record_part(1, 0, 71)
    await inbox.record_part(2, 0, 72)
    await servers.save_locale(7, "ko")
    clock.move(days=29)
    await talk(history, said(3, created_at=clock.now))
    await inbox.record_part(3, 0, 73)
    clock.move(days=2)
    await retention.sweep()
    assert [row["message_id"] for row in await rows(database, tables.reply_message)] == [73]
    assert await servers.locale(7) == "ko"
    clock.move(days=30)
    await retention.sweep()
    assert await servers.locale(7) is None


async def test_the_backup_of_a_migration_goes_after_a_week(
    sqlite_database: Database, clock: Clock
) -> None:
    backup = sqlite_database.address.backup_path
    assert backup is not None
    backup.write_bytes(b"an old copy")
    os.utime(backup, (NOON.timestamp(), NOON.timestamp()))
    retention = sure_retention(sqlite_database, clock)
    clock.move(days=6)
    await retention.sweep()
    assert backup.exists()
    clock.move(days=1, minutes=1)
    await retention.sweep()
    assert not backup.exists()


async def test_a_copy_that_a_kill_left_unfinished_goes_after_a_week_too(
    sqlite_database: Database, clock: Clock
) -> None:
    _, unfinished = sqlite_database.address.copies
    unfinished.write_bytes(b"half a copy")
    os.utime(unfinished, (NOON.timestamp(), NOON.timestamp()))
    clock.move(days=7, minutes=1)
    await sure_retention(sqlite_database, clock).sweep()
    assert not unfinished.exists()


async def test_a_bug_in_a_sweep_does_not_end_the_sweeping(
    sqlite_database: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []

    def broken_once() -> datetime:
        if not pauses:
            raise RuntimeError("a bug")
        return clock()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise asyncio.CancelledError

    retention = sure_retention(sqlite_database, clock, reads=broken_once, pause=pause)
    with pytest.raises(asyncio.CancelledError):
        await retention.run()
    assert caplog.text.count("trying again later") == 1
    assert "RuntimeError: a bug" in caplog.text


async def test_it_sweeps_again_and_again_and_survives_an_outage(
    sqlite_database: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    history = SqlHistory(sqlite_database, origin="discord", clock=clock)
    await talk(history, said(1))
    caplog.set_level("INFO")
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        clock.move(days=31)
        if len(pauses) == 2:
            await sqlite_database.close()
        if len(pauses) == 3:
            raise asyncio.CancelledError

    retention = sure_retention(sqlite_database, clock, pause=pause)
    with pytest.raises(asyncio.CancelledError):
        await retention.run()
    assert pauses == [SWEEP_SECONDS] * 3
    assert "Deleted 2 turns" in caplog.text
    assert "trying again later" in caplog.text
    with pytest.raises(StoreUnavailableError):
        await retention.sweep()
