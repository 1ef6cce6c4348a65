"""A PostgreSQL server that takes what it is sent and does not answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.util import await_only

from bot.answering.ports import Head
from bot.errors import StoreUnavailableError
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.upkeep.opening import open_database
from tests.store.conftest import empty
from tests.store.postgres_proxy import Proxy, proxy_of
from tests.store.talk import CHANNEL, count, draft, said, talk

UNIT_SECONDS = 0.3


class Pauses:
    """The pauses between two probes: each one lasts until a test lets it end."""

    def __init__(self) -> None:
        self._may_end = asyncio.Semaphore(0)
        self._has_begun = asyncio.Event()

    async def __call__(self, _seconds: float) -> None:
        self._has_begun.set()
        await self._may_end.acquire()

    def end_last(self) -> None:
        """Let one end: the probe after it succeeds."""
        self._may_end.release()

    async def end_one(self) -> None:
        """Let one end, and return when the next one begins: the probe between was no good."""
        self._has_begun.clear()
        self._may_end.release()
        await self._has_begun.wait()


@pytest.fixture
async def proxy(shared_postgres_url: str) -> AsyncIterator[Proxy]:
    async with proxy_of(shared_postgres_url) as opened:
        yield opened


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def database(proxy: Proxy, pauses: Pauses, tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(
        proxy.url,
        history_key="off",
        key_path=tmp_path / "key",
        unit_seconds=UNIT_SECONDS,
        pause=pauses,
    )
    await empty(opened)
    yield opened
    await opened.close()


def read_one(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT 1")) or 0)


async def until_it_answers(database: Database) -> None:
    """Ask again and again, as replies do."""
    while True:
        try:
            assert await database.read(read_one) == 1
        except StoreUnavailableError:
            await asyncio.sleep(0)
        else:
            return


async def test_after_the_first_unit_without_an_answer_all_fail_at_once_until_there_is_one(
    database: Database, proxy: Proxy, pauses: Pauses, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    history, inbox = SqlHistory(database, origin="discord"), SqlInbox(database)
    proxy.hang()
    with pytest.raises(StoreUnavailableError):
        await history.head(CHANNEL)
    num_sent = proxy.num_chunks
    for unit in (history.head(CHANNEL), inbox.record(said(1)), inbox.unfinished()):
        with pytest.raises(StoreUnavailableError):
            await unit
    assert proxy.num_chunks == num_sent
    await pauses.end_one()
    with pytest.raises(StoreUnavailableError):
        await history.head(CHANNEL)
    proxy.go_on()
    pauses.end_last()
    await until_it_answers(database)
    await talk(history, said(1))
    assert await count(database, tables.turn) == 2
    assert [line for line in caplog.messages if "database" in line] == [
        f"The database cannot be read: the server has not answered for {UNIT_SECONDS:g} s",
        "The database can be read again",
    ]


async def test_many_replies_at_one_moment_wait_no_longer_than_one(
    database: Database, proxy: Proxy
) -> None:
    proxy.hang()
    history = SqlHistory(database, origin="discord")
    asked = [history.head(CHANNEL) for _ in range(4)]
    stored = [history.remember(draft(said(number)), Head()) for number in range(4)]
    outcomes = await asyncio.gather(*asked, *stored, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}


async def test_what_hangs_half_way_is_not_stored_when_the_server_is_back(
    database: Database, proxy: Proxy, pauses: Pauses
) -> None:
    def delete_and_hang(connection: Connection) -> None:
        connection.execute(tables.server_setting.delete())
        proxy.hang()
        connection.scalar(text("SELECT 1"))

    before = await count(database, tables.server_setting)
    with pytest.raises(StoreUnavailableError):
        await database.write(delete_and_hang)
    proxy.go_on()
    pauses.end_last()
    await until_it_answers(database)
    assert await count(database, tables.server_setting) == before > 0


async def test_one_connection_that_hangs_takes_no_unit_of_another_along(
    database: Database, proxy: Proxy
) -> None:
    has_begun, may_go_on = asyncio.Event(), asyncio.Event()

    def wait_and_read(connection: Connection) -> int:
        has_begun.set()
        await_only(may_go_on.wait())
        return read_one(connection)

    def hang_and_read(connection: Connection) -> int:
        proxy.flows[-1].clear()
        return read_one(connection)

    reading = asyncio.create_task(database.read(wait_and_read, may_take_long=True))
    await has_begun.wait()
    with pytest.raises(StoreUnavailableError):
        await database.read(hang_and_read)
    may_go_on.set()
    assert await reading == 1


async def test_a_unit_that_is_cancelled_while_the_server_hangs_ends(
    database: Database, proxy: Proxy
) -> None:
    has_begun = asyncio.Event()

    def hang_and_read(connection: Connection) -> int:
        proxy.hang()
        has_begun.set()
        return read_one(connection)

    reading = asyncio.create_task(database.read(hang_and_read))
    await has_begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_closing_waits_for_no_server_that_hangs(
    database: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.database.database._FAREWELL_SECONDS", 0.01)
    assert await database.read(read_one) == 1
    proxy.hang()
    await database.close()
