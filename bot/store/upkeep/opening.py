"""Migrates, unlocks and opens a database."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from bot.store.database.breaker import Connections
from bot.store.database.connect import WRITING, address_of, serving_engine
from bot.store.database.database import BUSY_SECONDS, UNIT_SECONDS, Database
from bot.store.database.failures import start_failures_explained
from bot.store.upkeep.keys import unlock
from bot.store.upkeep.migration import migrate


async def open_database(
    url: str,
    *,
    history_key: str | None,
    key_path: Path,
    busy_seconds: float = BUSY_SECONDS,
    unit_seconds: float = UNIT_SECONDS,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Database:
    """Migrate, unlock and open the database at `url`.

    `history_key` is the owner's secret, `off`, or None for the key file at `key_path`, which is
    made for a new database; for the rest see Database. Raises DatabaseError with a sentence
    that says what to do.
    """
    address = address_of(url)
    await migrate(address)
    engine = serving_engine(address, busy_seconds)
    connections = None if address.path else Connections(engine)
    try:
        with start_failures_explained(str(address)):
            async with engine.execution_options(**WRITING).begin() as connection:
                cipher = await unlock(connection, history_key, key_path)
    except BaseException:
        await engine.dispose()
        raise
    return Database(
        address,
        engine,
        cipher,
        busy_seconds,
        connections=connections,
        unit_seconds=unit_seconds,
        pause=pause,
    )
