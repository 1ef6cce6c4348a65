"""Units of work that come at one moment, and connections that stay open."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import await_only

from bot.errors import StoreUnavailableError
from bot.store import tables
from bot.store.connect import READING, WRITING
from bot.store.database import Database
from bot.store.one_trip import OneTripConnection
from bot.store.units import NUM_LANES, SqliteUnits
from tests.store.talk import count

ONE = text("SELECT 1")
DELETE = tables.server_setting.delete()
NONSENSE = text("SELECT nothing FROM nowhere")


class Notes(list[tuple[str, int]]):
    """Which unit ran in which thread, in order."""

    def unit(self, name: str) -> Callable[[Connection], int]:
        def note(connection: Connection) -> int:
            self.append((name, threading.get_ident()))
            return int(connection.scalar(ONE) or 0)

        return note

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self]

    @property
    def threads(self) -> set[int]:
        return {thread for _, thread in self}


async def test_units_of_one_moment_go_in_one_thread_and_readers_first(
    sqlite_database: Database,
) -> None:
    notes = Notes()
    results = await asyncio.gather(
        sqlite_database.write(notes.unit("write")),
        sqlite_database.read(notes.unit("read")),
        sqlite_database.read(notes.unit("read too")),
    )
    assert set(results) == {1}
    assert notes.names == ["read", "read too", "write"]
    assert len(notes.threads) == 1


async def test_a_unit_that_fails_leaves_those_beside_it_alone(sqlite_database: Database) -> None:
    notes = Notes()

    def fail(_connection: Connection) -> None:
        raise ValueError("ours")

    first, second, third = await asyncio.gather(
        sqlite_database.read(fail),
        sqlite_database.read(lambda connection: connection.execute(NONSENSE)),
        sqlite_database.write(notes.unit("write")),
        return_exceptions=True,
    )
    assert isinstance(first, ValueError)
    assert isinstance(second, StoreUnavailableError | OperationalError)
    assert third == 1
    assert await sqlite_database.read(notes.unit("after")) == 1


async def test_who_reads_hears_before_the_writer_beside_it_is_done(
    sqlite_database: Database,
) -> None:
    may_end = threading.Event()
    writing = asyncio.create_task(sqlite_database.write(lambda _: may_end.wait(10)))
    reading = asyncio.create_task(sqlite_database.read(Notes().unit("read")))
    assert await reading == 1
    assert not writing.done()
    may_end.set()
    assert await writing


async def test_more_units_than_connections_wait_for_their_turn(sqlite_database: Database) -> None:
    all_busy, may_end = threading.Barrier(NUM_LANES + 1), threading.Event()

    def hold(_connection: Connection) -> bool:
        all_busy.wait(10)
        return may_end.wait(10)

    holding = []
    for _ in range(NUM_LANES):
        holding.append(asyncio.create_task(sqlite_database.read(hold)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # it has left: the next one is of another moment
    late = asyncio.create_task(sqlite_database.read(Notes().unit("late")))
    await asyncio.to_thread(all_busy.wait, 10)
    assert not late.done()
    may_end.set()
    assert await asyncio.gather(*holding) == [True] * NUM_LANES
    assert await late == 1


async def test_who_waits_too_long_for_a_connection_hears_of_an_outage(
    sqlite_database: Database,
) -> None:
    may_end = threading.Event()
    holding = []
    for _ in range(NUM_LANES):
        holding.append(asyncio.create_task(sqlite_database.read(lambda _: may_end.wait(10))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailableError) as outage:
        await sqlite_database.read(Notes().unit("late"))
    assert "no connection was free for 0.5 s" in str(outage.value.__cause__)
    may_end.set()
    assert await asyncio.gather(*holding) == [True] * NUM_LANES
    assert await sqlite_database.read(Notes().unit("after")) == 1


async def test_a_commit_that_fails_leaves_no_transaction_open(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_connection: object) -> None:
        raise OSError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(OneTripConnection, "commit", refuse)
        for _ in range(NUM_LANES):
            with pytest.raises((OSError, StoreUnavailableError)):
                await sqlite_database.write(lambda connection: connection.execute(DELETE))
    assert await sqlite_database.write(Notes().unit("write")) == 1
    assert await count(sqlite_database, tables.server_setting) == 1


async def test_a_unit_that_runs_out_of_something_fails_like_any_other(
    sqlite_database: Database,
) -> None:
    with pytest.raises(RuntimeError):
        await sqlite_database.read(lambda _: next(iter(())))


async def test_a_unit_may_not_wait_for_anything_but_its_connection(
    sqlite_database: Database,
) -> None:
    def wait(_connection: Connection) -> None:
        await_only(asyncio.sleep(0))

    mistake, beside, after = await asyncio.gather(
        sqlite_database.read(wait),
        sqlite_database.read(wait),
        sqlite_database.read(Notes().unit("after")),
        return_exceptions=True,
    )
    assert isinstance(mistake, RuntimeError)
    assert "outside of its thread" in str(mistake)
    assert isinstance(beside, RuntimeError)
    assert after == 1


async def test_a_database_that_cannot_be_opened_fails_everybody_and_is_tried_again(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sqlite_database._engine
    units = SqliteUnits(engine, 2.0)
    run = partial(units.run, Notes().unit("read"))

    async def refuse(_engine: object) -> None:
        raise OSError("too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(type(engine), "connect", refuse)
        results = await asyncio.gather(run(READING), run(WRITING), return_exceptions=True)
        assert [str(result) for result in results] == ["too many open files"] * 2
    assert await run(READING) == 1
    await units.close()


async def test_a_connection_that_comes_back_after_the_end_is_closed(
    sqlite_database: Database,
) -> None:
    units = SqliteUnits(sqlite_database._engine, 2.0)
    has_begun, may_end = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> bool:
        has_begun.set()
        return may_end.wait(10)

    running = asyncio.create_task(units.run(hold, READING))
    await asyncio.to_thread(has_begun.wait, 10)
    await units.close()
    may_end.set()
    assert await running
    await units.close()
    assert units._num_lanes == 0
