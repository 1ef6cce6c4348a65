"""Channels and threads that were deleted while the bot was offline: what is kept of them goes.

What discord.py has in its cache is there. What it has not may be deleted, or only hidden from the
bot, or a thread that was archived: Discord is asked, a few at each start.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

import discord

from bot.errors import StoreUnavailableError
from bot.ports import BOT_ITSELF, KeptChannel, ServerStore
from cogs._discord.outgoing import ANY_FAILURE, Outgoing

logger = logging.getLogger(__name__)

NUM_QUESTIONS = 50  # that a start asks Discord
NO_PARENT = 0
CURSOR = "asked_for_channel"  # the last one that was asked for: the next start goes on behind it
# https://discord.com/developers/docs/topics/opcodes-and-status-codes, JSON error codes
UNKNOWN_CHANNEL = 10003
MISSING_ACCESS = 50001


class LostChannels:
    """Looks for channels and threads that are gone. `forget` forgets one of them."""

    def __init__(
        self,
        client: discord.Client,
        servers: ServerStore,
        outgoing: Outgoing,
        forget: Callable[[int], Awaitable[None]],
    ) -> None:
        self._client = client
        self._servers = servers
        self._outgoing = outgoing
        self._forget = forget

    async def purge(self) -> None:
        """Delete what is kept of lost channels, and learn which channels threads hang on.

        A server that is unavailable, or that the bot is not in, is left alone. Nothing is deleted
        unless Discord says that it does not know the channel. What stays is looked for at the
        next start, and retention deletes it.
        """
        try:
            unseen = await self._look_into_cache(await self._servers.channels())
            for channel_id in await self._chosen(unseen):
                await self._ask(channel_id, unseen)
        except StoreUnavailableError:
            logger.debug("Channels that are gone are looked for at the next start.")
        except ANY_FAILURE as trouble:
            name = type(trouble).__name__
            logger.debug("Channels that are gone are looked for at the next start: %s.", name)

    async def _look_into_cache(self, kept: Sequence[KeptChannel]) -> list[KeptChannel]:
        """Those that the cache has not; what it knows of the others' parents is stored."""
        unseen: list[KeptChannel] = []
        for one in kept:
            guild = self._client.get_guild(one.guild_id)
            if guild is None or guild.unavailable:
                continue
            channel = guild.get_channel_or_thread(one.channel_id)
            if channel is None:
                unseen.append(one)
            elif one.parent_id is None:
                await self._servers.save_parent(one.channel_id, _parent_of(channel))
        return unseen

    async def _chosen(self, unseen: Collection[KeptChannel]) -> list[int]:
        """The channels to ask for: those of which the parent is not known, then round and round."""
        newest = sorted((one.channel_id for one in unseen if one.parent_id is None), reverse=True)
        unknown = newest[:NUM_QUESTIONS]
        known = sorted({self._question(one) for one in unseen if one.parent_id is not None})
        noted = await self._servers.setting(BOT_ITSELF, CURSOR)
        last = 0 if noted is None else int(noted)
        in_turn = [one for one in known if one > last] + [one for one in known if one <= last]
        rest = in_turn[: NUM_QUESTIONS - len(unknown)]
        if rest and len(rest) < len(known):
            await self._servers.save_setting(BOT_ITSELF, CURSOR, str(rest[-1]))
        return [*unknown, *(one for one in rest if one not in unknown)]

    def _question(self, kept: KeptChannel) -> int:
        """Which channel to ask for: that which a thread hangs on, if the cache lacks it too."""
        if not kept.parent_id:
            return kept.channel_id
        guild = self._client.get_guild(kept.guild_id)
        is_there = guild is not None and guild.get_channel(kept.parent_id) is not None
        return kept.channel_id if is_there else kept.parent_id

    async def _ask(self, channel_id: int, unseen: Collection[KeptChannel]) -> None:
        """Ask Discord for a channel, and delete what is kept of it if there is none.

        A parent that was asked for once counts as none where Discord does not tell it.
        """
        is_parent_unknown = any(
            one.channel_id == channel_id and one.parent_id is None for one in unseen
        )
        parent_id = NO_PARENT
        try:
            channel = await self._outgoing.ask(self._client.fetch_channel(channel_id))
            parent_id = _parent_of(channel)
        except discord.NotFound as error:
            if error.code != UNKNOWN_CHANNEL:
                raise
            await self._purge(channel_id)
            return
        except discord.Forbidden as error:
            if error.code != MISSING_ACCESS:
                raise
        except discord.InvalidData:
            logger.debug("Channel %s is of a kind that discord.py does not know.", channel_id)
        if is_parent_unknown:
            await self._servers.save_parent(channel_id, parent_id)

    async def _purge(self, channel_id: int) -> None:
        logger.info("Channel %s is gone: what is kept of it goes.", channel_id)
        await self._forget(channel_id)


def _parent_of(channel: object) -> int:
    """The channel that a thread hangs on; NO_PARENT for every other channel."""
    return channel.parent_id if isinstance(channel, discord.Thread) else NO_PARENT
