"""Reads what was written while the bot was away, in the channels that it was spoken to in."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import discord

from bot.delivery.clocks import Clock
from bot.delivery.look_back import LookBack
from bot.delivery.ports import Spot
from bot.dialogue.text import is_blank
from bot.dialogue.turn import Utterance
from bot.errors import StoreUnavailableError
from bot.settings.settings import Settings
from cogs._discord.convert import is_for_us, utterance_of
from cogs._discord.outgoing import ANY_FAILURE, REFUSALS, Outgoing

logger = logging.getLogger(__name__)

NUM_REQUESTS = 50  # at most, for all that is read
PATIENCE_SECONDS = 30.0  # replies wait so long at most
PAGE = 100  # messages; Discord gives no more at once
NUM_PAGES = 5  # of one place: where others talk a lot, that must not be all that is read

Channel = discord.abc.Messageable
Obstacle = Callable[[discord.Message], str | None]


class _EnoughError(Exception):
    """All requests are used up."""


class MissedMessages:
    """Looks back for what speaks to the bot; what does not is dropped unread.

    `obstacle` says why a message is not taken in, as for one that has just come. `clock` gives
    the time in UTC.
    """

    def __init__(
        self,
        *,
        client: discord.Client,
        look_back: LookBack,
        outgoing: Outgoing,
        settings: Settings,
        obstacle: Obstacle,
        clock: Clock,
    ) -> None:
        self._client = client
        self._look_back = look_back
        self._outgoing = outgoing
        self._settings = settings
        self._obstacle = obstacle
        self._clock = clock
        self._requests_left = 0

    async def take_in(self) -> None:
        """Read the last CATCH_UP_MINUTES, newest scopes first, and have answered what is new."""
        if not self._settings.catch_up_minutes:
            return
        missed: list[Utterance] = []
        self._requests_left = NUM_REQUESTS
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._read(missed)
        except _EnoughError:
            logger.info("Looking back ended after %s requests.", NUM_REQUESTS)
        except StoreUnavailableError:
            return  # where to look is not known
        except ANY_FAILURE as error:
            logger.warning("Looking back was broken off: %s", error or type(error).__name__)
        try:
            await self._look_back.take_in(missed)
        except StoreUnavailableError:
            logger.warning("What was written while I was away is not answered: no database.")

    async def _read(self, missed: list[Utterance]) -> None:
        since = self._clock() - timedelta(minutes=self._settings.catch_up_minutes)
        for spot in await self._look_back.spots(NUM_REQUESTS):
            try:
                missed += await self._missed_in(spot, since)
            except REFUSALS as error:
                logger.debug("Channel %s cannot be looked at: %s", spot.channel_id, error)

    async def _missed_in(self, spot: Spot, since: datetime) -> list[Utterance]:
        """What speaks to us in a channel, and has no answer of ours among what was read."""
        bot_id = self._client.user.id if self._client.user else 0
        messages = await self._written_in(await self._channel(spot), since)
        answered = {
            message.reference.message_id
            for message in messages
            if message.author.id == bot_id and message.reference is not None
        }
        spoken = [
            message
            for message in messages
            if message.author.id != bot_id
            and message.id not in answered
            and is_for_us(message, bot_id)
        ]
        missed = []
        for message in spoken:
            await self._ask_roles(message)
            said = utterance_of(message, bot_id, self._settings.history)
            if self._obstacle(message) is None and not is_blank(said.text):
                missed.append(said)
        return missed

    async def _channel(self, spot: Spot) -> Channel:
        """The channel itself: only it says whether it is a DM, and whose thread."""
        guild = None if spot.guild_id is None else self._client.get_guild(spot.guild_id)
        known = guild.get_channel_or_thread(spot.channel_id) if guild else None
        if isinstance(known, Channel):
            return known
        self._count()
        found = await self._outgoing.ask(self._client.fetch_channel(spot.channel_id))
        if not isinstance(found, Channel):
            raise discord.InvalidData("no messages there")
        return found

    async def _written_in(self, channel: Channel, since: datetime) -> list[discord.Message]:
        """The newest messages, back to a moment, or as far as NUM_PAGES go.

        The newest pages first: what came after a message that is read, our answer to it too, is
        then read as well.
        """
        messages: list[discord.Message] = []
        for _ in range(NUM_PAGES):
            self._count()
            page = await self._outgoing.ask(_page(channel, messages[-1] if messages else None))
            messages += page
            if len(page) < PAGE or page[-1].created_at < since:
                break
        return [message for message in messages if message.created_at >= since]

    async def _ask_roles(self, message: discord.Message) -> None:
        """Put the member in the place of the author: a message that is read names no roles."""
        if message.guild is None or not self._settings.allowed_role_ids:
            return
        self._count()
        request = message.guild.fetch_member(message.author.id)
        try:
            message.author = await self._outgoing.ask(request)
        except REFUSALS as error:
            logger.debug("Member %s has left: %s", message.author.id, error)

    def _count(self) -> None:
        """One more request; raises _EnoughError where none is left."""
        if not self._requests_left:
            raise _EnoughError
        self._requests_left -= 1


async def _page(channel: Channel, before: discord.Message | None) -> list[discord.Message]:
    return [one async for one in channel.history(limit=PAGE, before=before)]
