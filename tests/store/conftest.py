"""A database for each test: a SQLite file, and PostgreSQL where there is one.

PostgreSQL comes from TEST_POSTGRES_URL (postgresql+asyncpg://user:password@host/name, whose user
may create databases), or from installed binaries, which are started as an ordinary user.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, make_url

from bot.store.database.database import Database
from bot.store.database.tables import METADATA, server_setting
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.upkeep.opening import open_database
from tests.store.postgres_server import find_binary, running_server
from tests.store.talk import Clock


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    initdb, postgres = find_binary("initdb"), find_binary("postgres")
    if initdb is None or postgres is None:
        pytest.skip("no PostgreSQL: set TEST_POSTGRES_URL or install the package postgresql")
    with running_server(initdb, postgres) as url:
        yield url


@asynccontextmanager
async def new_postgres_database(server_url: str) -> AsyncIterator[str]:
    server = make_url(server_url)
    name = f"banter_{uuid.uuid4().hex}"
    dsn = server.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    yield server.set(database=name).render_as_string(hide_password=False)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def postgres_url(postgres_server: str) -> AsyncIterator[str]:
    async with new_postgres_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def shared_postgres_url(postgres_server: str) -> Iterator[str]:
    """One for many tests, each of which finds it empty: making one takes a quarter second."""
    with asyncio.Runner() as runner:
        database = new_postgres_database(postgres_server)
        yield runner.run(database.__aenter__())
        runner.run(database.__aexit__(None, None, None))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/banter.db"


@pytest.fixture(params=["sqlite_url", "postgres_url"], ids=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a database that is not there yet."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture(params=["sqlite_url", "shared_postgres_url"], ids=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest) -> str:
    """Not asked for by `database` itself: no event loop may run while a server is started."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture
async def database(any_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """An open database that holds nothing."""
    opened = await open_database(any_url, history_key="off", key_path=tmp_path / "key")
    if opened.address.path is None:
        await empty(opened)
    yield opened
    await opened.close()


async def empty(database: Database) -> None:
    def delete_all(connection: Connection) -> None:
        for table in reversed(METADATA.sorted_tables):
            key_record = server_setting.c.name == "history_key"
            rows = table.delete()
            connection.execute(rows.where(~key_record) if table is server_setting else rows)

    await database.write(delete_all)


@pytest.fixture
async def sqlite_database(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(
        sqlite_url, history_key="off", key_path=tmp_path / "history.key", busy_seconds=0.5
    )
    yield opened
    await opened.close()


@pytest.fixture
def sqlite_history(sqlite_database: Database) -> SqlHistory:
    return SqlHistory(sqlite_database, origin="discord")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(database: Database, clock: Clock) -> SqlHistory:
    return SqlHistory(database, origin="discord", clock=clock)


@pytest.fixture
def inbox(database: Database, clock: Clock) -> SqlInbox:
    return SqlInbox(database, clock=clock)
