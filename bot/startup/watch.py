"""Looks every few seconds whether this process still owns its token's locks and its database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum

from bot.paths import OpenedFile
from bot.store.database.locks import FileLock
from bot.store.lease import RENEWAL_SECONDS, SqlLease

logger = logging.getLogger(__name__)

LOOK_SECONDS = RENEWAL_SECONDS  # each look renews the lease


class Loss(Enum):
    """Why a process has to end."""

    LEASE = "Another process has taken over the database: this one ends, or both would answer."
    FILE = (
        "The database file was deleted or replaced while the bot ran: it ends, for what it writes "
        "now would be lost. Never touch the file of a bot that runs; docs/operations.md says how."
    )


class Watch:
    """Watches over what makes this process the only one. `file`: SQLite's, as it was opened."""

    def __init__(
        self,
        *,
        locks: Sequence[FileLock],
        file: OpenedFile | None,
        lease: SqlLease,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._locks = locks
        self._file = file
        self._lease = lease
        self._pause = pause

    async def run(self) -> Loss:
        """Look again and again, until something is lost."""
        while True:
            await self._pause(LOOK_SECONDS)
            try:
                loss = await self.look()
            except Exception:  # a bug must not end the looking
                logger.exception("It could not be seen whether the database is still ours.")
                continue
            if loss is not None:
                logger.critical(loss.value)
                return loss

    async def look(self) -> Loss | None:
        """Renew locks and lease; what cannot be had any more."""
        if not await asyncio.to_thread(self._look_at_files):  # a disk may hang
            return Loss.FILE
        return None if await self._lease.renew() else Loss.LEASE

    def _look_at_files(self) -> bool:
        for lock in self._locks:
            lock.take()
        return self._file is None or self._file.is_in_place()
