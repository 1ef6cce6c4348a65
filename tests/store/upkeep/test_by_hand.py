"""What an owner does from the command line."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.errors import DatabaseError
from bot.store.database.connect import address_of
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.upkeep.by_hand import backup, check, upgrade
from bot.store.upkeep.opening import open_database
from tests.store.talk import CHANNEL, said, talk, texts


async def test_upgrading_twice_does_something_once(url: str) -> None:
    assert await upgrade(url)
    assert not await upgrade(url)
    assert await check(url) == []


async def test_a_backup_of_a_database_in_use_can_be_opened(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    await talk(SqlHistory(sqlite_database, origin="discord"), said(1, "keep me"))
    target = await backup(sqlite_url, tmp_path / "copy.db")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    copy = await open_database(
        f"sqlite+aiosqlite:///{target}", history_key="off", key_path=tmp_path / "history.key"
    )
    history = SqlHistory(copy, origin="discord")
    head = await history.head(CHANNEL)
    assert texts(await history.path(head.turn_id or 0, 9)) == ["keep me", "hi"]
    await copy.close()
    with pytest.raises(DatabaseError, match="exists already"):
        await backup(sqlite_url, target)


async def test_a_backup_needs_a_database_and_a_place(sqlite_url: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no database"):
        await backup(sqlite_url, tmp_path / "copy.db")
    await upgrade(sqlite_url)
    with pytest.raises(DatabaseError, match="cannot be used"):
        await backup(sqlite_url, tmp_path / "nowhere" / "copy.db")


async def test_postgresql_has_its_own_way_to_be_backed_up(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="pg_dump"):
        await backup("postgresql+asyncpg://localhost/banter", tmp_path / "copy.db")


async def findings(url: str) -> str:
    return " ".join(str(finding) for finding in await check(url))


async def test_a_check_finds_a_missing_database_and_makes_none(
    sqlite_url: str, tmp_path: Path
) -> None:
    assert "no database" in await findings(sqlite_url)
    assert list(tmp_path.iterdir()) == []
    assert "DATABASE_URL" in await findings("nonsense")


async def test_a_check_finds_another_schema(url: str) -> None:
    await upgrade(url)
    database = await open_database(url, history_key="off", key_path=Path("unused"))
    other = text("UPDATE alembic_version SET version_num = '0000'")
    await database.write(lambda connection: connection.execute(other))
    await database.close()
    assert "has the schema 0000" in await findings(url)


async def test_a_check_finds_damage(sqlite_url: str, tmp_path: Path) -> None:
    await upgrade(sqlite_url)
    with closing(sqlite3.connect(tmp_path / "banter.db")) as hurt:
        hurt.execute("INSERT INTO candidate VALUES (1, 404, 1, x'', '{}')")
        hurt.commit()
    assert "is damaged" in await findings(sqlite_url)


async def test_a_check_finds_that_nobody_may_write(sqlite_url: str, tmp_path: Path) -> None:
    await upgrade(sqlite_url)
    path = address_of(sqlite_url).path
    assert "cannot be written" in await findings(
        f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true"
    )
