"""When what is old is deleted for the first time."""

import asyncio
from datetime import datetime

from bot.startup.foundation import forgetting
from bot.store.database.database import Database
from bot.store.upkeep.retention import Retention
from tests.store.talk import NOON


async def test_nothing_is_old_before_discord_has_told_its_time(database: Database) -> None:
    known, swept = asyncio.Event(), asyncio.Event()

    def clock() -> datetime:
        assert known.is_set()
        swept.set()
        return NOON

    retention = Retention(database, retention_days=30, clock=clock, is_sure=True)
    async with forgetting(retention, after=known):
        for _ in range(5):
            await asyncio.sleep(0)
        known.set()
        await swept.wait()
    async with forgetting(retention):
        swept.clear()
        await swept.wait()
