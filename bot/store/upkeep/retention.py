"""Forgets what is old, by itself."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, delete, select

from bot.delivery.clocks import Clock, steady_seconds, utc_now
from bot.errors import StoreUnavailableError
from bot.store.database.database import Database
from bot.store.database.failures import outages_translated
from bot.store.database.rows import NO_ID, has, insert_or_replace
from bot.store.database.scrubbing import AGED, shred_all
from bot.store.database.tables import (
    conversation,
    inbox,
    member_locale,
    reply_message,
    server_setting,
    turn,
)
from bot.store.locking import lock
from bot.store.tree import delete_turns

SWEEP_SECONDS = 6 * 3600.0
INBOX_AGE = timedelta(days=2)  # long enough to know an event that is delivered again
BACKUP_AGE = timedelta(days=7)
LEEWAY = timedelta(hours=1)  # a sweep's time may be so much later than what has passed explains
A_DAY = timedelta(days=1)
_BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)  # nothing is as old as Discord
_LOOK = {"guild_id": NO_ID, "name": "looked_at_clock"}

logger = logging.getLogger(__name__)


class Retention:
    """Deletes what is older than its time: turns, inbox rows, unused scopes, the backup.

    A clock that jumps ahead must not make everything old. Within a process the time of a sweep is
    no later than what has passed since the one before explains; `seconds` never go back. Where
    `clock` is not `is_sure` to be right, as the machine's own is not, the first sweep's time is
    no later than a day after the one that the process before this one read: a moment counts only
    when it was seen twice. `file_clock` is the one that files are stamped by. `on_deleted` is
    called when turns went: nothing is to be kept of them elsewhere either.
    """

    def __init__(
        self,
        database: Database,
        *,
        retention_days: int,
        clock: Clock = utc_now,
        file_clock: Clock = utc_now,
        seconds: Callable[[], float] = steady_seconds,
        is_sure: bool = False,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_deleted: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._turn_age = timedelta(days=retention_days)
        self._clock = clock
        self._file_clock = file_clock
        self._seconds = seconds
        self._is_sure = is_sure
        self._last: tuple[datetime, float] | None = None  # the last sweep's time, and `seconds`
        self._pause = pause
        self._on_deleted = on_deleted

    async def run(self) -> None:
        """Sweep now and every few hours, until cancelled: no failure ends it."""
        while True:
            await self.attempt()
            await self._pause(SWEEP_SECONDS)

    async def attempt(self) -> None:
        """Sweep once; a failure is logged."""
        try:
            await self.sweep()
        except StoreUnavailableError:
            logger.warning("Old turns could not be deleted; trying again later")
        except Exception:  # a bug must not keep what should go, for weeks and unseen
            logger.exception("Old turns could not be deleted; trying again later")

    async def sweep(self) -> int:
        """Delete what is too old now; returns the number of turns.

        What still refers to a deleted turn lets go of it: children become roots, and a scope
        whose head is gone begins at a root. An erasure whose scrub failed is finished.
        """
        now = await self._believed()
        num_turns = await self._delete_turns(now)
        await self._delete_rows(now)
        copies = self._database.address.copies
        with outages_translated():
            # Their age is the file system's, so it takes both clocks to call them old.
            by_both = min(now, self._file_clock()) - BACKUP_AGE
            await asyncio.to_thread(shred_all, copies, older_than=by_both)
        if await self._database.due_scrub() not in {None, AGED}:
            await self._database.scrub_if_due()
        await self._database.checkpoint()
        if num_turns:
            logger.info("Deleted %d turns older than %d days", num_turns, self._turn_age.days)
        return num_turns

    async def _believed(self) -> datetime:
        """The time by the clock, as far as it can be explained; see above."""
        now, seconds = self._clock(), self._seconds()
        if self._last is not None:
            moment, then = self._last
            explained = moment + timedelta(seconds=seconds - then)
            self._last = max(explained, min(now, explained + LEEWAY)), seconds
            return min(now, explained + LEEWAY)
        if not self._is_sure:
            now = min(now, A_DAY + await self._database.write(lambda one: _look(one, now)))
        self._last = now, seconds
        return now

    async def _delete_turns(self, now: datetime) -> int:
        """Delete the turns that are too old; returns how many."""
        is_old = turn.c.created_at < now - self._turn_age
        try:
            num_turns = await delete_turns(self._database, is_old)
        except StoreUnavailableError:
            self._on_deleted()  # the first of them may be gone
            raise
        if num_turns:
            self._on_deleted()
        return num_turns

    async def _delete_rows(self, now: datetime) -> None:
        """Delete what is older than its time, beside the turns."""
        old = now - self._turn_age
        speakers = select(turn.c.author_id).where(turn.c.author_id.is_not(None))
        lost = reply_message.c.turn_id.is_(None)
        silent = member_locale.c.user_id.not_in(speakers)
        known = inbox.c.created_at < now - INBOX_AGE
        unused = and_(conversation.c.head_turn_id.is_(None), conversation.c.touched_at < old)

        def delete_all(connection: Connection) -> None:
            lock(connection, messages=known, scopes=unused)
            connection.execute(delete(inbox).where(known))
            connection.execute(delete(reply_message).where(lost, reply_message.c.created_at < old))
            connection.execute(delete(conversation).where(unused))
            connection.execute(delete(member_locale).where(silent, member_locale.c.saved_at < old))

        await self._database.write(delete_all, may_take_long=True)


def _look(connection: Connection, now: datetime) -> datetime:
    """Note what the clock says, and return what it said when it was last looked at."""
    query = select(server_setting.c.value).where(has(server_setting, _LOOK))
    noted: str | None = connection.scalar(query)
    insert_or_replace(connection, server_setting, {**_LOOK, "value": now.isoformat()})
    return _BEGINNING if noted is None else datetime.fromisoformat(noted)
