"""Sends the parts of a reply, each once, over connection errors and restarts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from bot.dialogue.reply import Reply, split
from bot.dialogue.turn import Utterance
from bot.errors import ChatError, StoreUnavailableError
from bot.ports import (
    Courier,
    InboxEntry,
    InboxStore,
    MessageGoneError,
    Part,
    SendError,
    SendRefusedError,
    SendTroubleError,
)

logger = logging.getLogger(__name__)

# Discord remembers a nonce for "the past few minutes": within this time a second send is harmless.
NONCE_MEMORY = timedelta(minutes=2)
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # between the tries of one part

Pause = Callable[[float], Awaitable[None]]
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time of the wall clock, in UTC."""
    return datetime.now(UTC)


class Outbox:
    """The way of a reply out. `pause` waits some seconds; `clock` gives the time in UTC."""

    def __init__(
        self,
        inbox: InboxStore,
        *,
        pause: Pause = asyncio.sleep,
        clock: Clock = utc_now,
    ) -> None:
        self._inbox = inbox
        self._pause = pause
        self._clock = clock

    def is_recent(self, said: Utterance) -> bool:
        """Whether Discord still remembers the nonces of what answers `said`."""
        return self._clock() - said.created_at < NONCE_MEMORY

    async def send(self, courier: Courier, said: Utterance, reply: Reply, first: int = 0) -> bool:
        """Send the parts of `reply` from number `first` on; whether there is nothing left to do.

        False when Discord could not be reached for long: the next start goes on from there.
        """
        texts = split(reply.text)
        for number, text in list(enumerate(texts))[first:]:
            part = Part(
                channel_id=said.scope.channel_id,
                reply_to_id=said.message_id,
                number=number,
                text=text,
                nonce=f"r{said.message_id}-{number}",
            )
            try:
                sent_id = await self._persist(partial(courier.send, part))
            except SendTroubleError as error:
                logger.warning("The reply to message %s was not sent: %s", said.message_id, error)
                return False
            except (MessageGoneError, SendRefusedError) as error:
                logger.info("The reply to message %s is dropped: %s", said.message_id, error)
                return True
            await self._note(said.message_id, number, sent_id)
        return True

    async def notify(self, courier: Courier, said: Utterance, error: ChatError) -> None:
        """Answer `said` with the sentence of an error."""
        try:
            await self._persist(partial(courier.notify, said, error))
        except SendError as failure:
            logger.info("Message %s got no sentence: %s", said.message_id, failure)

    async def resume(self, courier: Courier, entry: InboxEntry, reply: Reply) -> bool:
        """Send what an earlier run did not: never blindly once the nonces are forgotten."""
        num_sent = len(entry.sent_ids)
        if not self.is_recent(entry.said):
            try:
                there = await courier.sent_parts(entry.said)
            except SendError as error:
                logger.warning("Message %s stays unanswered: %s", entry.said.message_id, error)
                return not isinstance(error, SendTroubleError)
            for number, sent_id in list(enumerate(there))[num_sent:]:
                await self._note(entry.said.message_id, number, sent_id)
            num_sent = max(num_sent, len(there))
        return await self.send(courier, entry.said, reply, num_sent)

    async def _persist(self, send: Callable[[], Awaitable[int]]) -> int:
        """Try again after each pause while the trouble lasts; the id of what was sent."""
        for pause_seconds in PAUSES_SECONDS:
            try:
                return await send()
            except SendTroubleError as error:
                logger.info("Sending again in %s s: %s", pause_seconds, error)
            await self._pause(pause_seconds)
        return await send()

    async def _note(self, message_id: int, number: int, sent_id: int) -> None:
        with suppress(StoreUnavailableError):
            await self._inbox.record_part(message_id, number, sent_id)
