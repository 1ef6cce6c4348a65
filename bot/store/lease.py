"""The row that says which process answers for a database: one at a time, of one application."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlalchemy import Connection, select, update

from bot.delivery.clocks import Clock, utc_now
from bot.errors import StoreUnavailableError, UnavailableError, WrongSettingsError
from bot.store.database.database import Database
from bot.store.database.locks import Taken, lock_of
from bot.store.database.rows import insert_new
from bot.store.database.tables import lease

logger = logging.getLogger(__name__)

SHARD = 0  # there is one connection to Discord
RENEWAL_SECONDS = 10.0  # between two signs of life
OLD = timedelta(seconds=30)  # without one
LOOK_SECONDS = 1.0
NUM_LOOKS = 40  # a supervisor starts the next process while the last one still ends
_OF_SHARD = lease.c.shard == SHARD


class SqlLease:
    """Implements bot.ports.Lease, for the process that makes it."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock = utc_now,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._clock = clock
        self._pause = pause
        self._holder = secrets.token_hex(8)
        self._lock = lock_of(database.address, SHARD)
        self.application_id: int | None = None  # whose messages are answered; None before `acquire`

    async def acquire(self, application_id: int) -> None:
        """Take the database for `application_id`: from a dead process at once, else at its end.

        Raises WrongSettingsError where it is another application's, UnavailableError where a
        process of the same one does not end, or the database is away.
        """
        for number in range(NUM_LOOKS + 1):
            obstacle = await self._obstacle(application_id)
            if obstacle is None:
                self.application_id = application_id
                return
            if number == NUM_LOOKS:
                raise obstacle
            if number == 0:
                logger.info("Waiting up to %s s for this to end: %s", NUM_LOOKS, obstacle)
            await self._pause(LOOK_SECONDS)

    async def renew(self) -> bool:
        """Give a sign of life; False where another process has taken the database."""
        if self.application_id is None:
            return True
        await self._lock.take()
        try:
            return await self._database.write(self._touch)
        except StoreUnavailableError:
            return True  # the database says so itself, and the bot answers without it

    async def close(self) -> None:
        """Let the lock go; the row stays, and says whose the database is."""
        await self._lock.release()

    async def _obstacle(self, application_id: int) -> UnavailableError | None:
        """Take the lease; what is in the way, if anything."""
        where = self._database.address
        try:
            if await self._try(application_id):
                return None
        except StoreUnavailableError:
            return UnavailableError(
                "The database {where} cannot be used now: the log says why.", where=where
            )
        return UnavailableError(
            "Another Banter with this application is using the database {where}: stop that one "
            "first.",
            where=where,
        )

    async def _try(self, application_id: int) -> bool:
        """Take the lease if it is free now."""
        taken = await self._lock.take()

        def take(connection: Connection) -> bool:
            found = connection.execute(select(lease).where(_OF_SHARD).with_for_update()).first()
            if found is None:  # one that holds the lock is about to write its row
                is_free = taken in {Taken.OURS, Taken.UNKNOWN}
                return is_free and self._insert(connection, application_id)
            if found.application_id != application_id:
                raise self._another(found.application_id, application_id)
            is_old = abs(self._clock() - found.renewed_at) >= OLD
            if taken is Taken.ANOTHERS or (taken is not Taken.OURS and not is_old):
                return False
            connection.execute(update(lease).where(_OF_SHARD).values(**self._signs()))
            return True

        return await self._database.write(take)

    def _touch(self, connection: Connection) -> bool:
        mine = (_OF_SHARD, lease.c.holder == self._holder)
        if connection.execute(update(lease).where(*mine).values(**self._signs())).rowcount:
            return True
        # Nothing there: a backup was put in place, or `db release` came between two beats.
        return self._insert(connection, self.application_id or 0)

    def _insert(self, connection: Connection, application_id: int) -> bool:
        row = {"shard": SHARD, "application_id": application_id, **self._signs()}
        return insert_new(connection, lease, row)

    def _signs(self) -> dict[str, object]:
        return {"holder": self._holder, "renewed_at": self._clock()}

    def _another(self, theirs: int, ours: int) -> WrongSettingsError:
        return WrongSettingsError(
            "The database {where} belongs to the application {theirs}, but DISCORD_TOKEN is that "
            "of {ours}: give each bot a DATABASE_URL of its own. If {ours} takes the place of "
            "{theirs} for good, stop that bot and run `python -m bot db release`.",
            where=self._database.address,
            theirs=theirs,
            ours=ours,
        )
