"""The inbox's rows that are not done and for which no ticket stands: what becomes of each."""

import logging
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta

from bot.delivery.outbox import Outbox
from bot.delivery.ports import Courier, InboxEntry, InboxStore
from bot.dialogue.turn import Scope
from bot.errors import StoreUnavailableError

logger = logging.getLogger(__name__)

# Starts at which an unfinished row is tried: one that ends the bot each time is given up then.
# Looking again while the bot runs counts for nothing, nor does a row that has to wait.
NUM_ATTEMPTS = 20
# For a bot that does not look back: a restart alone takes a supervisor a minute and a half.
LEAST_CATCH_UP = timedelta(minutes=2)


class UnfinishedRows:
    """Finds what is to be taken up. `catch_up`: up to what age a message is answered at all."""

    def __init__(self, inbox: InboxStore, outbox: Outbox, catch_up: timedelta) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._catch_up = catch_up or LEAST_CATCH_UP

    async def due(
        self, courier: Courier, *, passing: Collection[int], is_start: bool
    ) -> tuple[list[InboxEntry], bool]:
        """The rows to take up, oldest first, and whether others wait for their time.

        Those of `passing` are passed over. Raises StoreUnavailableError.
        """
        due: list[InboxEntry] = []
        waiting: set[Scope] = set()
        for entry in await self._inbox.unfinished(is_start=is_start):
            said = entry.said
            if said.message_id in passing:
                continue
            try:
                if await self._is_given_up(entry):
                    continue
            except Exception:
                # One row that cannot be read must not silence the bot.
                logger.exception("Message %s is left unanswered.", said.message_id)
                continue
            seconds = self._seconds_until_due(entry)
            if seconds > 0 and is_start:  # later the courier knows by itself
                courier.rest(said.scope.channel_id, seconds)
            if seconds > 0 or said.scope in waiting:  # what came later does not overtake it
                waiting.add(said.scope)
            else:
                due.append(entry)
        return due, bool(waiting)

    def _seconds_until_due(self, entry: InboxEntry) -> float:
        if entry.not_before is None:
            return 0.0
        return (entry.not_before - self._outbox.now).total_seconds()

    async def _is_given_up(self, entry: InboxEntry) -> bool:
        """Close a row that is not tried any more, with a line in the log."""
        message_id = entry.said.message_id
        if entry.attempts > NUM_ATTEMPTS:
            logger.info("Message %s is given up: %s starts tried it.", message_id, NUM_ATTEMPTS)
        elif self._is_too_old(entry):
            minutes = self._catch_up.total_seconds() / 60
            logger.info("Message %s is older than %g minutes: no reply.", message_id, minutes)
        else:
            return False
        with suppress(StoreUnavailableError):
            await self._inbox.close(message_id)
        return True

    def _is_too_old(self, entry: InboxEntry) -> bool:
        """Whether a message without a reply is too old for one; Discord's own wait is not age."""
        since = max(entry.said.created_at, entry.not_before or entry.said.created_at)
        return entry.reply_text is None and self._outbox.now - since >= self._catch_up
