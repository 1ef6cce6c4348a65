"""Carries replies and sentences to Discord."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp
import discord

from bot.client.global_limit import retry_after, within_a_day
from bot.delivery.ports import MessageGoneError, Part, SendError, SendRefusedError, SendTroubleError
from bot.dialogue.turn import Utterance
from bot.errors import ChatError, StoreUnavailableError
from bot.ports import ServerStore
from bot.texts import FALLBACK_LANGUAGE, explain
from cogs._discord.fence import our_permissions
from cogs._discord.outgoing import ANY_FAILURE, NO_PINGS, Outgoing
from cogs._discord.refusals import NO_HISTORY, closes_channel, is_gone, is_limit
from cogs._discord.rests import Rests

T = TypeVar("T")
logger = logging.getLogger(__name__)

BACKOFF_SECONDS = 600.0  # Discord bans an address after 10,000 refused requests in 10 minutes
NOTICE_SECONDS = 15.0  # how long a notice stays
TYPING_AFTER_SECONDS = 0.2  # a reply that is there before needs no request more
TYPING_SECONDS = 8.0  # Discord shows it for 10
LOOK_SECONDS = 1.0  # how soon typing that gave way to something else is tried again
NUM_SEARCHED = 100  # messages after a question among which its answer is looked for: one page
NUM_NOTICES = 4096  # of which the ids are kept

NETWORK_ERRORS = (aiohttp.ClientError, OSError)


class DiscordCourier:
    """A bot.delivery.ports.Courier. `clock` gives seconds that never go back.

    A channel and a message are known to it by their ids, not by the cache: so it also works for
    what an earlier run left unfinished. A request that is on its way runs to its end, although
    its caller is cancelled. Where Discord said "later" nothing is asked of it until then.
    """

    def __init__(
        self,
        client: discord.Client,
        servers: ServerStore,
        outgoing: Outgoing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._servers = servers
        self._outgoing = outgoing
        self._refusing = Rests(clock)  # channels where we may not write
        self._resting = Rests(clock)  # channels where we may write again later
        self._resting_typing = Rests(clock)
        self._notice_ids: deque[int] = deque(maxlen=NUM_NOTICES)
        self._removals: set[asyncio.Task[None]] = set()

    def may_write(self, channel_id: int) -> bool:
        """Whether Discord did not refuse what we wrote there a short while ago."""
        return not self._refusing.seconds_left(channel_id)

    def rest(self, channel_id: int, seconds: float) -> None:
        """Leave a channel alone for so long: Discord said so to an earlier run."""
        self._resting.add(channel_id, within_a_day(seconds))

    async def send(self, part: Part) -> int:
        """Send `part` and return the message's id; raises a SendError.

        A repeated nonce brings back the message that is there already; it gets the new text.
        """
        if not self.may_write(part.channel_id):
            raise SendRefusedError("Discord refused an earlier message in this channel")
        self._must_not_rest(part.channel_id)
        with self._outgoing.waiting():
            return await self._run(part.channel_id, self._post_or_edit(part))

    async def sentence(self, said: Utterance, error: ChatError) -> str:
        """The error's sentence in the language of the author of `said`."""
        return explain(error, await self._locale_of(said))

    async def notify(self, said: Utterance, error: ChatError) -> int:
        """Say that a message is not taken in, beside the reply it may have; raises a SendError."""
        notice_id = await self.send(
            Part(
                channel_id=said.scope.channel_id,
                reply_to_id=said.message_id,
                number=0,
                text=await self.sentence(said, error),
                nonce=_notice_nonce(said.message_id),
            )
        )
        self._notice_ids.append(notice_id)
        return notice_id

    async def say(self, said: Utterance, error: ChatError) -> int | None:
        """The same for a sentence that may get lost: None when it could not be sent."""
        try:
            return await self.notify(said, error)
        except SendError as failure:
            logger.info("Message %s got no sentence: %s", said.message_id, failure)
            return None

    async def whisper(self, said: Utterance, error: ChatError) -> None:
        """The same for a sentence that disappears again after a while.

        Only an interaction can be answered privately; a message cannot.
        """
        sent_id = await self.say(said, error)
        if sent_id is None:
            return
        removal = asyncio.create_task(self._remove_later(said.scope.channel_id, sent_id))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    async def sent_parts(self, said: Utterance) -> list[int]:
        """The ids of our messages in the channel that answer `said`, oldest first.

        Raises a SendError; SendRefusedError also where we may not look, and where so much was
        written since that the answer may be beyond what we look at.
        """
        channel_id = said.scope.channel_id
        if not self._reads_history(channel_id):
            raise SendRefusedError("the history of the channel cannot be read")
        self._must_not_rest(channel_id)
        searched = await self._run(channel_id, self._written_after(said.message_id, channel_id))
        found = [message.id for message in searched if self._answers(message, said.message_id)]
        if not found and len(searched) >= NUM_SEARCHED:
            raise SendRefusedError("the answer may be beyond what was looked at")
        return found

    @asynccontextmanager
    async def typing(self, channel_id: int) -> AsyncIterator[None]:
        """Soon show that the bot is typing; no refusal and no delay of it reaches the caller."""
        typing = asyncio.create_task(self._keep_typing(channel_id))
        try:
            yield
        finally:
            typing.cancel()
            await asyncio.wait([typing])

    async def close(self) -> None:
        """End the tasks that wait to remove a notice; those notices stay."""
        for removal in self._removals:
            removal.cancel()
        await asyncio.gather(*self._removals, return_exceptions=True)

    async def _post_or_edit(self, part: Part) -> int:
        message = await self._post(part)
        if message.content.split() != part.text.split():
            await message.edit(content=part.text, allowed_mentions=NO_PINGS)
        return message.id

    async def _written_after(self, message_id: int, channel_id: int) -> list[discord.Message]:
        channel = self._client.get_partial_messageable(channel_id)
        after = discord.Object(message_id)
        return [
            message
            async for message in channel.history(limit=NUM_SEARCHED, after=after, oldest_first=True)
        ]

    async def _post(self, part: Part) -> discord.Message:
        channel = self._client.get_partial_messageable(part.channel_id)
        if self._reads_history(part.channel_id):
            reference = discord.MessageReference(
                message_id=part.reply_to_id, channel_id=part.channel_id, fail_if_not_exists=True
            )
            try:
                return await channel.send(
                    part.text, nonce=part.nonce, reference=reference, allowed_mentions=NO_PINGS
                )
            except discord.HTTPException as error:
                if error.code != NO_HISTORY:
                    raise
        # Better an answer that does not show its question than none.
        return await channel.send(part.text, nonce=part.nonce, allowed_mentions=NO_PINGS)

    def _reads_history(self, channel_id: int) -> bool:
        """Whether we may reply in a channel and read it back; yes where nothing is known."""
        granted = our_permissions(self._client.get_channel(channel_id))
        return granted is None or granted.read_message_history

    def _answers(self, message: discord.Message, message_id: int) -> bool:
        """Whether `message` is a part of our reply, and not what `notify` said beside it."""
        if self._client.user is None or message.author.id != self._client.user.id:
            return False
        if message.id in self._notice_ids or message.nonce == _notice_nonce(message_id):
            return False
        return bool(message.reference and message.reference.message_id == message_id)

    async def _locale_of(self, said: Utterance) -> str:
        """The locale last seen from the author, else the server's."""
        try:
            locale = await self._servers.locale(said.author_id)
        except StoreUnavailableError:
            locale = None
        guild = self._client.get_guild(said.guild_id) if said.guild_id else None
        return locale or (str(guild.preferred_locale) if guild else FALLBACK_LANGUAGE)

    async def _keep_typing(self, channel_id: int) -> None:
        try:
            await asyncio.sleep(TYPING_AFTER_SECONDS)
            while self.may_write(channel_id) and not self._typing_rests(channel_id):
                if not self._outgoing.may_type:
                    await asyncio.sleep(LOOK_SECONDS)
                    continue
                await self._outgoing.run(self._client.http.send_typing(channel_id))
                await asyncio.sleep(TYPING_SECONDS)
        except ANY_FAILURE as error:
            if isinstance(error, discord.RateLimited):
                self._resting_typing.add(channel_id, within_a_day(error.retry_after))
            logger.debug("Typing in channel %s is not shown: %s", channel_id, error)

    async def _remove_later(self, channel_id: int, message_id: int) -> None:
        await asyncio.sleep(NOTICE_SECONDS)
        await self._rested(channel_id)
        notice = self._client.get_partial_messageable(channel_id).get_partial_message(message_id)
        try:
            with self._outgoing.waiting():
                await self._outgoing.run(notice.delete())
        except ANY_FAILURE as error:
            logger.debug("The notice %s stays: %s", message_id, error)

    async def _rested(self, channel_id: int) -> None:
        """Return when Discord takes requests in a channel."""
        while seconds := self._rest_seconds(channel_id):  # noqa: ASYNC110  # a clock ends it
            await asyncio.sleep(seconds)

    def _rest_seconds(self, channel_id: int) -> float:
        """For how long Discord wants no request in a channel, or none at all; 0: it takes one."""
        return max(self._resting.seconds_left(channel_id), self._outgoing.rest_seconds)

    def _typing_rests(self, channel_id: int) -> bool:
        """Whether Discord wants no more typing in a channel, or nothing there, for now."""
        return bool(self._rest_seconds(channel_id) or self._resting_typing.seconds_left(channel_id))

    def _must_not_rest(self, channel_id: int) -> None:
        """Raise SendTroubleError, without a request, where Discord wants a channel left alone."""
        if seconds := self._rest_seconds(channel_id):
            raise SendTroubleError("Discord wants to be asked later", seconds)

    async def _run(self, channel_id: int, request: Awaitable[T]) -> T:
        """The outcome of a request that runs to its end; what discord.py raises is a SendError."""
        return await self._outgoing.run(self._translated(channel_id, request))

    async def _translated(self, channel_id: int, request: Awaitable[T]) -> T:
        """The same, and what Discord said of the channel is kept, although no caller waits."""
        try:
            return await request
        except discord.HTTPException as error:
            if closes_channel(error):
                self._back_off(channel_id, error)
            raise self._send_error(channel_id, error) from error
        except discord.RateLimited as error:
            raise self._later(channel_id, str(error), within_a_day(error.retry_after)) from error
        except NETWORK_ERRORS as error:
            raise SendTroubleError(str(error) or type(error).__name__) from error
        except RuntimeError as error:
            if not self._client.is_closed():
                raise
            raise SendTroubleError("the connection is closed") from error

    def _send_error(self, channel_id: int, error: discord.HTTPException) -> SendError:
        """What `error` means for a reply on its way."""
        if is_gone(error):
            return MessageGoneError(str(error))
        if is_limit(error):
            return self._later(channel_id, str(error), retry_after(error.response.headers))
        if error.status >= 500:
            return SendTroubleError(str(error))
        return SendRefusedError(str(error))

    def _later(self, channel_id: int, reason: str, seconds: float) -> SendTroubleError:
        """The trouble of a limit; the channel rests for as long as Discord named."""
        if seconds:
            self._resting.add(channel_id, seconds)
        return SendTroubleError(reason, self._rest_seconds(channel_id))

    def _back_off(self, channel_id: int, error: discord.HTTPException) -> None:
        self._refusing.add(channel_id, BACKOFF_SECONDS)
        logger.warning(
            "Discord refuses what I write in channel %s (%s): no try there for %.0f minutes.",
            channel_id,
            error,
            BACKOFF_SECONDS / 60,
        )


def _notice_nonce(message_id: int) -> str:
    return f"n{message_id}"
