"""What the bot stands on, put together."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.answering.erasures import Erasures
from bot.settings.settings import Settings
from bot.startup.foundation import Foundation, retention_of
from bot.store.history import SqlHistory
from bot.store.upkeep.opening import open_database
from tests.fakes import InlineTokenizerThread, ScriptedEngine
from tests.store.talk import said, talk


async def test_the_engine_keeps_nothing_of_turns_that_retention_deletes(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/banter.db"
    database = await open_database(url, history_key="off", key_path=tmp_path / "key")
    long_ago = datetime.now(UTC) - timedelta(days=400)
    history = SqlHistory(database, origin="discord", clock=lambda: long_ago)
    await talk(history, said(1, created_at=long_ago))
    engine = ScriptedEngine()
    foundation = Foundation(Settings(), database, engine, InlineTokenizerThread(), Erasures(engine))
    for _ in range(2):  # as two starts do
        await retention_of(foundation).sweep()
    assert engine.num_forgotten == 1
    await database.close()
