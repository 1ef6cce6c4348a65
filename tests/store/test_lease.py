"""One process for one database, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update

from bot.errors import (
    EXIT_UNAVAILABLE,
    EXIT_WRONG_SETTINGS,
    DatabaseError,
    UnavailableError,
    WrongSettingsError,
)
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.inbox import SqlInbox
from bot.store.lease import NUM_LOOKS, OLD, RENEWAL_SECONDS, SqlLease
from bot.store.upkeep.by_hand import release
from tests.store.talk import Clock, count, rows, said

OURS, THEIRS = 4001, 4002


class Process:
    """The lease of one process; `pauses` are those that it made, `meanwhile` runs in each."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.lease = SqlLease(database, clock=clock, pause=self._pause)
        self.pauses: list[float] = []
        self.meanwhile: Callable[[], Awaitable[object]] = _nothing

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self.meanwhile()


async def _nothing() -> None:
    pass


Start = Callable[[], Process]


@pytest.fixture
async def start(database: Database, clock: Clock) -> AsyncIterator[Start]:
    """What makes processes; each lets its lock go at the end, as the kernel would."""
    async with AsyncExitStack() as stack:

        def make() -> Process:
            process = Process(database, clock)
            stack.push_async_callback(process.lease.close)
            return process

        yield make


async def test_a_dead_process_is_followed_at_once(start: Start, database: Database) -> None:
    first, second = start(), start()
    await first.lease.acquire(OURS)
    await first.lease.close()
    await second.lease.acquire(OURS)
    assert (first.pauses, second.pauses) == ([], [])
    (row,) = await rows(database, tables.lease)
    assert (row["shard"], row["application_id"]) == (0, OURS)


async def test_a_living_process_is_waited_for_and_then_left_alone(start: Start) -> None:
    first, second = start(), start()
    await first.lease.acquire(OURS)
    with pytest.raises(UnavailableError, match="stop that one first") as refused:
        await second.lease.acquire(OURS)
    assert refused.value.exit_code == EXIT_UNAVAILABLE
    assert sum(second.pauses) == NUM_LOOKS == 40
    assert second.lease.application_id is None
    assert await first.lease.renew()


async def test_a_process_that_ends_meanwhile_is_followed(start: Start) -> None:
    first, second = start(), start()
    await first.lease.acquire(OURS)

    async def end_at_last() -> None:
        assert await first.lease.renew()
        if len(second.pauses) == 3:
            await first.lease.close()

    second.meanwhile = end_at_last
    await second.lease.acquire(OURS)
    assert len(second.pauses) == 3


@pytest.mark.parametrize("is_alive", [True, False])
async def test_another_applications_database_is_refused_at_once(
    start: Start, clock: Clock, is_alive: bool
) -> None:
    first, second = start(), start()
    await first.lease.acquire(THEIRS)
    if not is_alive:
        await first.lease.close()
        clock.move(days=3)
    with pytest.raises(WrongSettingsError, match="python -m bot db release") as refused:
        await second.lease.acquire(OURS)
    assert refused.value.exit_code == EXIT_WRONG_SETTINGS
    assert {str(OURS), str(THEIRS)} <= set(str(refused.value).replace(",", " ").split())
    assert second.pauses == []
    assert await first.lease.renew()


async def test_a_machine_that_vanished_is_followed_when_its_sign_is_old(
    start: Start, database: Database, clock: Clock
) -> None:
    """PostgreSQL keeps its lock for hours; a file's lock says for certain that its holder lives."""
    first, second = start(), start()
    await first.lease.acquire(OURS)
    clock.now += OLD
    if database.address.path is not None:
        with pytest.raises(UnavailableError):
            await second.lease.acquire(OURS)
        return
    await second.lease.acquire(OURS)
    assert second.pauses == []
    assert not await first.lease.renew()
    assert await second.lease.renew()


async def test_where_no_lock_can_be_had_the_sign_of_life_decides(
    start: Start, database: Database, clock: Clock
) -> None:
    path = database.address.path
    if path is None:
        pytest.skip("a server's lock can be had")
    path.with_name(f"{path.name}.lock").symlink_to(path)
    first, second = start(), start()
    await first.lease.acquire(OURS)

    async def pass_time() -> None:
        clock.move(seconds=RENEWAL_SECONDS)

    second.meanwhile = pass_time
    await second.lease.acquire(OURS)
    assert len(second.pauses) == 3
    assert not await first.lease.renew()


async def test_of_two_that_start_at_once_one_has_the_database(
    start: Start, database: Database
) -> None:
    """One has the lock and has not written its row yet."""
    first, second = start(), start()
    await first.lease._lock.take()
    with pytest.raises(UnavailableError):
        await second.lease.acquire(OURS)
    await first.lease.acquire(OURS)
    assert await count(database, tables.lease) == 1
    together = start(), start()
    await first.lease.close()

    async def end_winner() -> None:
        for process in together:
            if process.lease.application_id is not None:
                await process.lease.close()

    for process in together:
        process.meanwhile = end_winner
    await asyncio.gather(*(process.lease.acquire(OURS) for process in together))
    assert sum(len(process.pauses) for process in together) > 0


async def test_a_lease_that_was_taken_from_it_is_seen(start: Start, database: Database) -> None:
    first = start()
    await first.lease.acquire(OURS)
    assert await first.lease.renew()
    await database.execute(update(tables.lease).values(holder="another"))
    assert not await first.lease.renew()


async def test_a_lease_that_is_gone_is_written_again(start: Start, database: Database) -> None:
    """A backup was put in the place of the database's words, by pg_restore."""
    first = start()
    await first.lease.acquire(OURS)
    await database.execute(delete(tables.lease))
    assert await first.lease.renew()
    (row,) = await rows(database, tables.lease)
    assert row["application_id"] == OURS


async def test_without_a_database_nothing_is_known_of_another(
    start: Start, database: Database
) -> None:
    first, second = start(), start()
    assert await first.lease.renew()  # it has none yet
    assert await count(database, tables.lease) == 0
    await first.lease.acquire(OURS)
    await database.close()
    assert await first.lease.renew()
    with pytest.raises(UnavailableError, match="cannot be used now"):
        await second.lease.acquire(OURS)


async def test_a_server_that_cut_the_connection_has_the_lock_taken_again(
    start: Start, database: Database
) -> None:
    if database.address.path is not None:
        pytest.skip("a file has no connection")
    first, second = start(), start()
    await first.lease.acquire(OURS)
    state = "SELECT state FROM pg_stat_activity NATURAL JOIN pg_locks WHERE locktype = 'advisory'"
    assert await database.read(lambda connection: connection.scalar(text(state))) == "idle"
    holders = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    await database.execute(text(holders))
    assert await first.lease.renew()
    assert await first.lease.renew()
    with pytest.raises(UnavailableError):
        await second.lease.acquire(OURS)


async def test_only_the_applications_own_messages_are_taken_up(
    start: Start, database: Database
) -> None:
    first, second = start(), start()
    await first.lease.acquire(THEIRS)
    second.lease.application_id = OURS
    theirs, ours = SqlInbox(database, lease=first.lease), SqlInbox(database, lease=second.lease)
    await theirs.record(said(1))
    await ours.record(said(2))
    await SqlInbox(database).record(said(3))  # as versions before did
    assert [entry.said.message_id for entry in await ours.unfinished()] == [2, 3]
    assert [(entry.said.message_id, entry.attempts) for entry in await theirs.unfinished()] == [
        (1, 1),
        (3, 2),
    ]
    assert [entry.said.message_id for entry in await SqlInbox(database).unfinished()] == [3]


async def test_a_release_lets_another_application_in(start: Start, any_url: str) -> None:
    first, second = start(), start()
    assert await release(any_url) is None
    await first.lease.acquire(THEIRS)
    await first.lease.close()
    assert await release(any_url, pause=_no_pause) == THEIRS
    await second.lease.acquire(OURS)
    assert second.pauses == []


async def test_a_database_that_a_bot_uses_is_not_released(
    start: Start, any_url: str, clock: Clock
) -> None:
    first, second = start(), start()
    await first.lease.acquire(THEIRS)

    async def pause(_: float) -> None:
        clock.move(seconds=RENEWAL_SECONDS)
        assert await first.lease.renew()

    with pytest.raises(DatabaseError, match=f"application {THEIRS} is using"):
        await release(any_url, pause=pause)
    with pytest.raises(WrongSettingsError):
        await second.lease.acquire(OURS)


async def _no_pause(_: float) -> None:
    pass


async def test_there_is_nothing_to_release_where_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="There is no database"):
        await release(f"sqlite+aiosqlite:///{tmp_path}/none.db")
