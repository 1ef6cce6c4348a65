"""The real bot on a simulated Discord: real cogs, delivery, conversation and SQLite; only the
engine is a script.

`stage` is all that most tests need. What the operator set is `overrides`: parametrize it.
"""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from bot.client.chat_bot import ChatBot
from bot.settings.settings import Settings
from bot.store.database.database import Database
from bot.store.upkeep.opening import open_database
from tests.cogs.desk import Desk, open_desk
from tests.cogs.stage import Stage, build_services, open_stage
from tests.fakes import ScriptedEngine


@pytest.fixture
def overrides() -> Mapping[str, object]:
    """Settings that differ from the defaults of these tests."""
    return {}


@pytest.fixture
def settings(overrides: Mapping[str, object]) -> Settings:
    return Settings.model_validate({"cooldown_seconds": 0, **overrides})


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'banter.db'}"
    database = await open_database(url, history_key="off", key_path=tmp_path / "history.key")
    yield database
    await database.close()


@pytest.fixture
async def stage(
    database: Database, engine: ScriptedEngine, settings: Settings
) -> AsyncIterator[Stage]:
    """The bot in a server with the channel #general and the member Alice."""
    services = build_services(database, engine, settings)
    async with open_stage(ChatBot(services), engine) as opened:
        yield opened


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A courier alone, without the bot."""
    async with open_desk() as opened:
        yield opened
