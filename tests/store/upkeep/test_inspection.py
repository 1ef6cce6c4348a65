"""A database is looked at, on SQLite and PostgreSQL, and stays as it is."""

from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from bot.errors import DatabaseError
from bot.store.database.connect import address_of, upkeep_engine
from bot.store.history import SqlHistory
from bot.store.lease import SqlLease
from bot.store.upkeep.inspection import Inspected, inspect
from bot.store.upkeep.migration import Schema
from bot.store.upkeep.opening import open_database
from tests.store.talk import said, talk


async def look(url: str, folder: Path, history_key: str | None = "a passphrase") -> Inspected:
    return await inspect(url, history_key=history_key, key_path=folder / "history.key")


async def begin(url: str, folder: Path) -> None:
    """Let a bot begin a history."""
    database = await open_database(url, history_key="a passphrase", key_path=folder / "history.key")
    await talk(SqlHistory(database, origin="discord"), said(1))
    await database.close()


async def change(url: str, statement: str) -> None:
    async with upkeep_engine(address_of(url), 1.0) as engine, engine.begin() as connection:
        await connection.execute(text(statement))


async def test_nothing_is_made_where_nothing_is(url: str, tmp_path: Path) -> None:
    assert (await look(url, tmp_path)).schema is Schema.ABSENT
    assert (await look(url, tmp_path)).schema is Schema.ABSENT
    assert list(tmp_path.iterdir()) == []


async def test_a_database_of_this_version_with_its_key(url: str, tmp_path: Path) -> None:
    await begin(url, tmp_path)
    found = await look(url, tmp_path)
    assert (found.schema, found.key_error) == (Schema.CURRENT, None)
    path = found.address.path
    assert found.num_bytes == (path.stat().st_size if path else 0)
    found = await look(url, tmp_path, "another")
    assert "HISTORY_KEY is not the key" in str(found.key_error)


async def test_a_newer_database_is_refused(url: str, tmp_path: Path) -> None:
    await begin(url, tmp_path)
    await change(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="update Banter"):
        await look(url, tmp_path)


async def test_a_path_with_odd_letters_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "50%25 off#1"
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{folder}/banter.db"
    await begin(url, tmp_path)
    assert (await look(url, tmp_path)).schema is Schema.CURRENT


async def test_a_server_that_only_reads_is_told(postgres_url: str, tmp_path: Path) -> None:
    await begin(postgres_url, tmp_path)
    name = make_url(postgres_url).database
    await change(postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(DatabaseError, match="not to a standby"):
        await look(postgres_url, tmp_path)


async def test_a_server_without_that_database_is_told(postgres_server: str, tmp_path: Path) -> None:
    url = make_url(postgres_server).set(database="nowhere")
    with pytest.raises(DatabaseError, match="the name of the database in DATABASE_URL"):
        await look(url.render_as_string(hide_password=False), tmp_path)


async def test_the_application_whose_bot_uses_it_is_named(url: str, tmp_path: Path) -> None:
    database = await open_database(url, history_key="off", key_path=tmp_path / "history.key")
    lease = SqlLease(database)
    try:
        await lease.acquire(77)
        assert (await look(url, tmp_path, "off")).application_id == 77
        await lease.close()
        assert (await look(url, tmp_path, "off")).application_id is None
    finally:
        await lease.close()
        await database.close()
