"""Channels that discord.py does not know, such as a thread that was archived: asked about once."""

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import discord

from cogs._discord.outgoing import ANY_FAILURE, REFUSALS, Outgoing

logger = logging.getLogger(__name__)

MEMORY_SECONDS = 60.0  # a thread may be locked or moved meanwhile
NUM_PLACES = 1000
WITH_MESSAGES = (discord.TextChannel, discord.VoiceChannel, discord.StageChannel, discord.Thread)


class UnclearPlaces:
    """Puts the channel that Discord names into messages which came without one.

    `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        client: discord.Client,
        outgoing: Outgoing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._outgoing = outgoing
        self._clock = clock
        self._lines: dict[int, asyncio.Lock] = {}
        self._waiting: Counter[int] = Counter()
        self._asked: OrderedDict[int, tuple[float, discord.Thread | None]] = OrderedDict()

    def is_unclear(self, message: discord.Message) -> bool:
        """Whether `message` has to wait for `cleared`, or for one before it in its channel."""
        is_unknown = isinstance(message.channel, discord.PartialMessageable)
        return message.channel.id in self._waiting or (is_unknown and message.guild is not None)

    @asynccontextmanager
    async def cleared(self, message: discord.Message) -> AsyncIterator[None]:
        """Hold the channel's line while the block runs, with the channel in `message` if found.

        The messages of a channel pass in the order in which they came.
        """
        channel_id = message.channel.id
        self._waiting[channel_id] += 1
        try:
            async with self._lines.setdefault(channel_id, asyncio.Lock()):
                await self._clear(message)
                yield
        finally:
            self._waiting[channel_id] -= 1
            if not self._waiting[channel_id]:
                del self._waiting[channel_id], self._lines[channel_id]

    async def _clear(self, message: discord.Message) -> None:
        if not isinstance(message.channel, discord.PartialMessageable) or message.guild is None:
            return
        known = message.guild.get_channel_or_thread(message.channel.id)
        found = known or await self._thread(message.channel.id)
        if isinstance(found, WITH_MESSAGES):
            message.channel = found

    async def _thread(self, channel_id: int) -> discord.Thread | None:
        """The thread with this id, as Discord last told it; None where it does not tell."""
        now = self._clock()
        asked_at, thread = self._asked.get(channel_id, (-MEMORY_SECONDS, None))
        if now - asked_at < MEMORY_SECONDS:
            return thread
        try:
            found = await self._outgoing.ask(self._client.fetch_channel(channel_id))
        except REFUSALS as error:
            logger.debug("Discord does not tell what channel %s is: %s", channel_id, error)
            found = None
        except ANY_FAILURE as error:
            logger.debug("What channel %s is could not be asked: %s", channel_id, error)
            return None  # the next message asks again
        thread = found if isinstance(found, discord.Thread) else None
        self._asked[channel_id] = now, thread
        while len(self._asked) > NUM_PLACES:
            self._asked.popitem(last=False)
        return thread
