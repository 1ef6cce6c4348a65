"""Carries replies and sentences to Discord."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import discord

from bot.delivery.ports import MessageGoneError, Part, SendError, SendRefusedError, SendTroubleError
from bot.dialogue.turn import Utterance
from bot.errors import ChatError, StoreUnavailableError
from bot.ports import ServerStore
from bot.texts import FALLBACK_LANGUAGE, explain
from cogs._discord.fence import our_permissions
from cogs._discord.outgoing import NO_PINGS, Outgoing

logger = logging.getLogger(__name__)

BACKOFF_SECONDS = 600.0  # Discord bans an address after 10,000 refused requests in 10 minutes
NOTICE_SECONDS = 15.0  # how long a notice stays
TYPING_AFTER_SECONDS = 0.2  # a reply that is there before needs no request more
TYPING_SECONDS = 8.0  # Discord shows it for 10
LOOK_SECONDS = 1.0  # how soon typing that gave way to something else is tried again
NUM_SEARCHED = 100  # messages after a question among which its answer is looked for: one page
NUM_NOTICES = 4096  # of which the ids are kept

# https://discord.com/developers/docs/topics/opcodes-and-status-codes, JSON error codes
NO_HISTORY = 160002  # a reply without the permission to read the history
BLOCKED_TEXTS = (200000, 240000)  # by AutoMod, or a harmful link: the next text may pass
# Beside every other 403 what refuses all texts in a channel: not a text channel, an archived or
# locked thread, a DM that the member closed, slowmode.
CLOSED_CHANNELS = (50007, 50008, 50083, 50278, 160005, 20016)
NETWORK_ERRORS = (discord.RateLimited, aiohttp.ClientError, OSError)
# A RuntimeError is what aiohttp raises once its session is closed.
ANY_FAILURE = (discord.DiscordException, aiohttp.ClientError, OSError, RuntimeError)


class DiscordCourier:
    """A bot.delivery.ports.Courier. `clock` gives seconds that never go back.

    A channel and a message are known to it by their ids, not by the cache: so it also works for
    what an earlier run left unfinished. A request that is on its way runs to its end, although
    its caller is cancelled.
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
        self._clock = clock
        self._closed_until: dict[int, float] = {}
        self._notice_ids: deque[int] = deque(maxlen=NUM_NOTICES)
        self._removals: set[asyncio.Task[None]] = set()

    def may_write(self, channel_id: int) -> bool:
        """Whether Discord did not refuse what we wrote there a short while ago."""
        return self._clock() >= self._closed_until.get(channel_id, 0.0)

    async def send(self, part: Part) -> int:
        """Send `part` and return the message's id; raises a SendError.

        A repeated nonce brings back the message that is there already; it gets the new text.
        """
        if not self.may_write(part.channel_id):
            raise SendRefusedError("Discord refused an earlier message in this channel")
        with self._translating(part.channel_id), self._outgoing.waiting():
            return await self._outgoing.run(self._post_or_edit(part))

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
        with self._translating(channel_id):
            searched = await self._outgoing.run(self._written_after(said.message_id, channel_id))
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
            while self.may_write(channel_id):
                if not self._outgoing.may_type:
                    await asyncio.sleep(LOOK_SECONDS)
                    continue
                await self._outgoing.run(self._client.http.send_typing(channel_id))
                await asyncio.sleep(TYPING_SECONDS)
        except ANY_FAILURE as error:
            logger.debug("Typing in channel %s is not shown: %s", channel_id, error)

    async def _remove_later(self, channel_id: int, message_id: int) -> None:
        await asyncio.sleep(NOTICE_SECONDS)
        notice = self._client.get_partial_messageable(channel_id).get_partial_message(message_id)
        try:
            with self._outgoing.waiting():
                await self._outgoing.run(notice.delete())
        except ANY_FAILURE as error:
            logger.debug("The notice %s stays: %s", message_id, error)

    @contextmanager
    def _translating(self, channel_id: int) -> Iterator[None]:
        """Turn what discord.py raises into a SendError, and leave a closed channel alone."""
        try:
            yield
        except discord.HTTPException as error:
            if _closes_channel(error):
                self._back_off(channel_id, error)
            raise _send_error(error) from error
        except NETWORK_ERRORS as error:
            raise SendTroubleError(str(error) or type(error).__name__) from error
        except RuntimeError as error:
            if not self._client.is_closed():
                raise
            raise SendTroubleError("the connection is closed") from error

    def _back_off(self, channel_id: int, error: discord.HTTPException) -> None:
        now = self._clock()
        for past_id in [one for one, until in self._closed_until.items() if until <= now]:
            del self._closed_until[past_id]
        self._closed_until[channel_id] = now + BACKOFF_SECONDS
        logger.warning(
            "Discord refuses what I write in channel %s (%s): no try there for %.0f minutes.",
            channel_id,
            error,
            BACKOFF_SECONDS / 60,
        )


def _notice_nonce(message_id: int) -> str:
    return f"n{message_id}"


def _closes_channel(error: discord.HTTPException) -> bool:
    is_refused = error.status == 403 and error.code not in BLOCKED_TEXTS
    return is_refused or error.code in CLOSED_CHANNELS


def _send_error(error: discord.HTTPException) -> SendError:
    """What `error` means for a reply on its way."""
    if error.status == 404:
        return MessageGoneError(str(error))
    # The text is all that discord.py gives of which field Discord refused.
    if error.status == 400 and "message_reference" in error.text:
        return MessageGoneError(str(error))
    if (error.status == 429 and error.code not in CLOSED_CHANNELS) or error.status >= 500:
        return SendTroubleError(str(error))
    return SendRefusedError(str(error))
