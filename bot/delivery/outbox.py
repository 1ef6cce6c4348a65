"""Sends the parts of a reply, each once, over connection errors and restarts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from bot.delivery.clocks import Clock, utc_now
from bot.delivery.ports import (
    Courier,
    InboxEntry,
    InboxStore,
    Part,
    SendError,
    SendTroubleError,
)
from bot.delivery.ticket import Ticket
from bot.dialogue.reply import Reply, split
from bot.dialogue.turn import Utterance
from bot.errors import ChatError, StoreUnavailableError

logger = logging.getLogger(__name__)

# Discord remembers a nonce for "the past few minutes": within this time a second send is harmless.
NONCE_MEMORY = timedelta(minutes=2)
# Between the tries of a reply: a quarter of an hour in all.
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, *(30.0,) * 29)
# What Discord wants kept back for longer holds no place in a line: it waits in the inbox.
LONGEST_PAUSE_SECONDS = 60.0

Pause = Callable[[float], Awaitable[None]]


class Outbox:
    """The way of a reply out. `pause` waits some seconds; `clock` is compared with Discord's."""

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

    @property
    def now(self) -> datetime:
        """The time by which messages and waits are measured."""
        return self._clock()

    def is_recent(self, said: Utterance) -> bool:
        """Whether Discord still remembers the nonces of what answers `said`."""
        return self._clock() - said.created_at < NONCE_MEMORY

    async def send(self, courier: Courier, ticket: Ticket, reply: Reply) -> bool:
        """Send `reply` in parts; whether there is nothing left to do.

        While Discord cannot be reached it is tried again for a quarter of an hour. False after
        that, and where Discord wants it kept back for long: Delivery looks into the inbox again.
        """
        return await self._send_from(0, courier, ticket, reply, looking=False)

    async def resume(self, courier: Courier, ticket: Ticket, reply: Reply, num_sent: int) -> bool:
        """Send what is missing of a reply after `num_sent` parts; whether nothing is left to do."""
        looking = not self.is_recent(ticket.said)
        return await self._send_from(num_sent, courier, ticket, reply, looking=looking)

    async def was_answered(self, courier: Courier, entry: InboxEntry) -> bool:
        """Whether a sentence, or a reply that was not stored, went out before a row was left.

        While Discord remembers its nonce it makes way for the reply. Where the channel cannot be
        read, the row is believed. Raises SendTroubleError where Discord cannot be asked now.
        """
        if self.is_recent(entry.said):
            return False
        if entry.sent_ids:
            return True
        try:
            return bool(await self._found(courier, entry.said, 0))
        except SendTroubleError as error:
            await self._postpone(entry.said, error)
            raise
        except SendError:
            return False

    async def notify(self, courier: Courier, ticket: Ticket, error: ChatError) -> bool:
        """Answer with the sentence of an error; whether there is nothing left to do.

        It goes out in the place of the reply, with the reply's nonce: should the bot crash now
        and find a reply at its next try, that takes the sentence's place.
        """
        sentence = Reply(await courier.sentence(ticket.said, error), turn_id=None)
        return await self._send_from(0, courier, ticket, sentence, looking=False)

    async def _send_from(
        self, number: int, courier: Courier, ticket: Ticket, reply: Reply, *, looking: bool
    ) -> bool:
        """Send the parts from `number` on, again after each pause while the trouble lasts.

        Never blindly once the nonces are forgotten: then the channel is looked into first.
        """
        said = ticket.said
        texts = split(reply.text)
        for pause_seconds in (*PAUSES_SECONDS, None):
            try:
                if looking:
                    number = await self._found(courier, said, number)
                while number < len(texts) and not ticket.cancellation.cancelled:
                    sent_id = await courier.send(_part(said, number, texts[number]))
                    await self._note(said.message_id, number, sent_id)
                    number += 1
            except SendTroubleError as error:
                is_left = await self._postpone(said, error)
                if pause_seconds is None or is_left:
                    logger.warning("Message %s has no reply yet: %s", said.message_id, error)
                    return False
                if ticket.cancellation.cancelled:
                    return True
                await self._pause(max(pause_seconds, error.wait_seconds))
                looking = not self.is_recent(said)
            except SendError as error:
                logger.info("The reply to message %s is dropped: %s", said.message_id, error)
                return True
            else:
                return True
        return False

    async def _postpone(self, said: Utterance, error: SendTroubleError) -> bool:
        """Note until when Discord wants the reply kept back; whether the inbox keeps it."""
        if not error.wait_seconds:
            return False
        not_before = self._clock() + timedelta(seconds=error.wait_seconds)
        try:
            is_noted = await self._inbox.postpone(said.message_id, not_before)
        except StoreUnavailableError:
            return False
        return is_noted and error.wait_seconds > LONGEST_PAUSE_SECONDS

    async def _found(self, courier: Courier, said: Utterance, number: int) -> int:
        """The number of the first part that is not in the channel; not below `number`."""
        there = await courier.sent_parts(said)
        for found, sent_id in list(enumerate(there))[number:]:
            await self._note(said.message_id, found, sent_id)
        return max(number, len(there))

    async def _note(self, message_id: int, number: int, sent_id: int) -> None:
        with suppress(StoreUnavailableError):
            await self._inbox.record_part(message_id, number, sent_id)


def _part(said: Utterance, number: int, text: str) -> Part:
    return Part(
        channel_id=said.scope.channel_id,
        reply_to_id=said.message_id,
        number=number,
        text=text,
        nonce=f"r{said.message_id}-{number}",
    )
