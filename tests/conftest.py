"""Fixtures that every test may use: real parts, small."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.store.database.database import Database
from bot.store.upkeep.opening import open_database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A real SQLite file, new and encrypted."""
    database = await open_database(
        f"sqlite+aiosqlite:///{tmp_path}/banter.db", history_key=None, key_path=tmp_path / "key"
    )
    yield database
    await database.close()
