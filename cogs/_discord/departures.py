"""Servers that the bot left while it was offline: what is kept of them goes at the next start."""

import logging

import discord

from bot.delivery.delivery import Delivery
from bot.errors import StoreUnavailableError
from bot.ports import BOT_ITSELF, ServerStore

logger = logging.getLogger(__name__)

APPLICATION = "application"  # whose servers the stored ones are
SEVERAL = "several"


async def purge_departed(client: discord.Client, servers: ServerStore, delivery: Delivery) -> bool:
    """Delete what is kept of servers that `client` is in no longer; unavailable ones count.

    Returns whether what is kept may be compared with what Discord says. Nothing is deleted
    where a second application has used the database, whose servers we do not know, nor by a
    client that is in no server at all: then the token is more likely a wrong one. Retention
    deletes what stays.
    """
    present = {guild.id for guild in client.guilds}
    if not present:
        return False
    try:
        if not await _is_ours_alone(servers, str(client.application_id)):
            return False
        for guild_id in await servers.servers():
            if guild_id not in present:
                logger.info("Server %s is left for good: what is kept of it goes.", guild_id)
                await delivery.forget_server(guild_id, [])
    except StoreUnavailableError:
        logger.debug("Servers that were left are looked for at the next start.")
        return False
    return True


async def _is_ours_alone(servers: ServerStore, application: str) -> bool:
    """Whether only `application` has ever used the database; notes that it does."""
    known = await servers.setting(BOT_ITSELF, APPLICATION)
    if known is None:
        await servers.save_setting(BOT_ITSELF, APPLICATION, application)
    elif known not in (application, SEVERAL):
        await servers.save_setting(BOT_ITSELF, APPLICATION, SEVERAL)
    return known in (None, application)
