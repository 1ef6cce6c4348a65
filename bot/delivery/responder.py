"""Answers one ticket: finds its reply, sends it, and closes its row in the inbox."""

import asyncio
import logging

from bot.answering.conversation import Conversation
from bot.delivery.facts import Facts
from bot.delivery.outbox import Outbox
from bot.delivery.ports import Courier, InboxStore, SendTroubleError
from bot.delivery.ticket import Ticket
from bot.dialogue.reply import Reply
from bot.dialogue.turn import Utterance
from bot.errors import (
    ChatError,
    EngineBrokenError,
    EngineClosedError,
    EngineStuckError,
    OwnFaultError,
    ScopeMovedError,
    StoreUnavailableError,
    WithdrawnError,
)

logger = logging.getLogger(__name__)


class Responder:
    """The way of one ticket from the head of its line to its end."""

    def __init__(
        self,
        *,
        conversation: Conversation,
        facts: Facts,
        inbox: InboxStore,
        outbox: Outbox,
    ) -> None:
        self._conversation = conversation
        self._facts = facts
        self._inbox = inbox
        self._outbox = outbox

    async def serve(self, ticket: Ticket, courier: Courier) -> bool:
        """Answer one utterance; whether that is finished. What is not stays in the inbox.

        So does a repeated one, for the run that took it in before. Raises EngineClosedError and
        EngineBrokenError: the next start answers it.
        """
        is_done = await self._answer(ticket, courier)
        if ticket.is_repeated:
            return False
        if is_done:
            await self._close(ticket)
        return is_done

    async def apologise(self, ticket: Ticket, courier: Courier) -> bool:
        """Say that a fault of ours came between; whether the message is not tried again.

        It is where Discord takes no apology now.
        """
        try:
            if not await self._outbox.notify(courier, ticket, OwnFaultError()):
                return False
            await self._close(ticket)
        except Exception:
            # The worker has to go on: other messages wait behind this one.
            logger.exception("Message %s got no apology either.", ticket.said.message_id)
        return True

    async def _answer(self, ticket: Ticket, courier: Courier) -> bool:
        """Respond and send; whether nothing is left to do for this utterance."""
        message_id = ticket.said.message_id
        if ticket.entry is not None and ticket.entry.reply_text is not None:
            reply = Reply(ticket.entry.reply_text, ticket.entry.reply_turn_id)
            return await self._outbox.resume(courier, ticket, reply, len(ticket.entry.sent_ids))
        if ticket.entry is not None:
            try:
                if await self._outbox.was_answered(courier, ticket.entry):
                    return True
            except SendTroubleError:
                return False
        try:
            async with courier.typing(ticket.said.scope.channel_id):
                said, reply = await self._respond(ticket)
        except (WithdrawnError, ScopeMovedError):
            logger.info("The reply to message %s was dropped.", message_id)
            return True
        except (EngineClosedError, EngineBrokenError):
            raise
        except ChatError as error:
            logger.info("Message %s gets a sentence: %s", message_id, type(error).__name__)
            return await self._outbox.notify(courier, ticket, error)
        if ticket.said.text != said.text:
            # It was edited while its reply was made.
            await self._facts.revise(message_id, ticket.said.text)
        return await self._outbox.send(courier, ticket, reply)

    async def _respond(self, ticket: Ticket) -> tuple[Utterance, Reply]:
        """What was said, and the reply; asked for once more where the engine got stuck.

        It is begun while the utterance is noted. Raises WithdrawnError for a repeated one.
        """
        try:
            return await self._respond_once(ticket)
        except EngineStuckError:
            logger.info("Message %s waits for a new engine.", ticket.said.message_id)
            return await self._respond_once(ticket)
        finally:
            if ticket.recording is not None:
                await asyncio.shield(ticket.recording)
            if ticket.is_repeated:
                raise WithdrawnError

    async def _respond_once(self, ticket: Ticket) -> tuple[Utterance, Reply]:
        said = ticket.said  # read at the last moment: an edit may have come
        reply = await self._conversation.respond(
            said, ticket.cancellation, ticket.recording, as_it_reads=lambda: ticket.said
        )
        return said, reply

    async def _close(self, ticket: Ticket) -> None:
        try:
            await self._inbox.close(ticket.said.message_id)
        except StoreUnavailableError:
            ticket.is_unclosed = True
