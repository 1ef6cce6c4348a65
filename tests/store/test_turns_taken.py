"""What stores words and what takes them away take turns on PostgreSQL, whichever is held up.

Each case holds one unit of work at a chosen statement, lets the other one run until it is over
or waits for a lock of the server, and then lets the first one go on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select, text
from sqlalchemy.util import await_only

from bot.answering.ports import Head
from bot.errors import ScopeMovedError
from bot.store.database import tables
from bot.store.database.connect import WRITING
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.privacy import SqlPrivacy
from bot.store.servers import SqlServers
from bot.store.upkeep.opening import open_database
from tests.store.conftest import empty
from tests.store.talk import ANNA, CHANNEL, GUILD, draft, rows, said, talk

QUESTION = "a secret question"
_NUM_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)

Change = Callable[[Database], Coroutine[Any, Any, None]]


async def erase(database: Database) -> None:
    await SqlPrivacy(database).erase(ANNA)


async def withdraw(database: Database) -> None:
    await SqlHistory(database, origin="discord").withdraw([1])


async def revise(database: Database) -> None:
    await SqlHistory(database, origin="discord").revise(1, "another one")


async def purge_channel(database: Database) -> None:
    await SqlServers(database).purge_channel(CHANNEL.channel_id)


async def purge_server(database: Database) -> None:
    await SqlServers(database).purge_server(GUILD, [])


CHANGES = (erase, withdraw, revise, purge_channel, purge_server)


@pytest.fixture
async def database(shared_postgres_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(shared_postgres_url, history_key="off", key_path=tmp_path / "key")
    await empty(opened)
    yield opened
    await opened.close()


class Hold:
    """A place in a unit of work: the unit stays there until it may go on."""

    def __init__(self) -> None:
        self.is_reached = asyncio.Event()
        self.may_go_on = asyncio.Event()

    def __call__(self, connection: Connection, *_: object) -> None:
        if connection.get_execution_options()["begin"] == WRITING["begin"]:
            self.is_reached.set()
            await_only(self.may_go_on.wait())


@asynccontextmanager
async def held(database: Database, place: str) -> AsyncIterator[tuple[Database, Hold]]:
    """Another connection, whose first unit of work stops after its first statement or before its
    commit.
    """
    url = database.address.url.render_as_string(hide_password=False)
    other = await open_database(url, history_key="off", key_path=Path("/nowhere"))
    hold = Hold()
    name = {"first statement": "after_cursor_execute", "commit": "commit"}[place]
    event.listen(other._engine.sync_engine, name, hold)
    yield other, hold
    await other.close()


async def until_over_or_waiting(task: asyncio.Task[Any], database: Database) -> None:
    """Return when `task` is over, or waits for a lock; each look is a way to the server."""
    while not task.done():
        if await database.read(lambda connection: connection.scalar(_NUM_WAITING)):
            return


async def store(database: Database) -> None:
    history = SqlHistory(database, origin="discord")
    await history.remember(draft(said(1, QUESTION), "a secret answer"), Head())


async def words(database: Database) -> set[bytes]:
    """Every text of the exchange that the database holds."""
    kept = {row["text"] for row in await rows(database, tables.turn)}
    for row in await rows(database, tables.inbox):
        kept |= {row["text"], row["reply_text"] or b""}
    return kept - {b""}


@pytest.mark.parametrize("place", ["first statement", "commit"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_waits_for_an_exchange_that_is_being_stored(
    database: Database, change: Change, place: str
) -> None:
    await SqlInbox(database).record(said(1, QUESTION))
    async with held(database, place) as (other, hold):
        storing = asyncio.create_task(store(other))
        await hold.is_reached.wait()
        changing = asyncio.create_task(change(database))
        await until_over_or_waiting(changing, database)
        hold.may_go_on.set()
        await asyncio.gather(storing, changing)
    left = {b"another one", b"a secret answer"} if change is revise else set()
    assert await words(database) == left


@pytest.mark.parametrize("change", CHANGES)
async def test_an_exchange_waits_for_a_change_of_what_it_is_made_of(
    database: Database, change: Change
) -> None:
    await SqlInbox(database).record(said(1, QUESTION))
    async with held(database, "commit") as (other, hold):
        changing = asyncio.create_task(change(other))
        await hold.is_reached.wait()
        storing = asyncio.create_task(store(database))
        await until_over_or_waiting(storing, database)
        hold.may_go_on.set()
        await changing
        (outcome,) = await asyncio.gather(storing, return_exceptions=True)
    if change is revise:
        assert await words(database) == {b"another one", b"a secret answer"}
    else:
        assert isinstance(outcome, ScopeMovedError)
        assert await words(database) == set()


async def test_a_part_that_goes_out_during_an_erasure_is_noted_all_the_same(
    database: Database,
) -> None:
    await SqlInbox(database).record(said(1, QUESTION))
    await store(database)
    async with held(database, "commit") as (other, hold):
        changing = asyncio.create_task(erase(other))
        await hold.is_reached.wait()
        noting = asyncio.create_task(SqlInbox(database).record_part(1, 0, 71))
        await until_over_or_waiting(noting, database)
        hold.may_go_on.set()
        await asyncio.gather(changing, noting)
    (part,) = await rows(database, tables.reply_message)
    assert (part["message_id"], part["turn_id"]) == (71, None)


async def test_a_parent_that_goes_while_its_answer_is_stored_is_let_go_of(
    database: Database,
) -> None:
    history = SqlHistory(database, origin="discord")
    parent = await talk(history, said(1, "of long ago"))
    head = await history.head(CHANNEL)
    await SqlInbox(database).record(said(2, "and today"))
    async with held(database, "first statement") as (other, hold):
        later = draft(said(2, "and today"), parent_id=parent.bot.turn_id)
        storing = asyncio.create_task(SqlHistory(other, origin="discord").remember(later, head))
        await hold.is_reached.wait()
        purging = asyncio.create_task(purge_channel(database))
        await until_over_or_waiting(purging, database)
        hold.may_go_on.set()
        await asyncio.gather(storing, purging)
    query = select(func.count()).select_from(tables.turn)
    assert await database.read(lambda connection: connection.scalar(query)) == 0
