"""Tells Discord of the slash commands, and only when it does not know them yet."""

import hashlib
import json
import logging
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.errors import StoreUnavailableError
from bot.ports import BOT_ITSELF, ServerStore

logger = logging.getLogger(__name__)

EVERYWHERE = 0  # where the commands are, when they are not those of one server

Tree = app_commands.CommandTree[Any]


async def sync_commands(
    tree: Tree, servers: ServerStore, application_id: int | None, guild_id: int | None
) -> None:
    """Send the commands to Discord if their definition is not what it has.

    With `guild_id` they become that server's own, else all servers have them. The place that had
    them before loses them: where both are, every command appears twice.
    """
    guild = discord.Object(guild_id) if guild_id else None
    if guild:
        tree.copy_global_to(guild=guild)
    key = f"commands:{application_id}"
    definition = f"{guild_id or EVERYWHERE}:{await _digest(tree, guild)}"
    known = None
    try:
        known = await servers.setting(BOT_ITSELF, key)
    except StoreUnavailableError:
        logger.warning("The commands are sent again: whether they changed is not known.")
    if known == definition:
        logger.info("The slash commands are as Discord has them.")
        return
    try:
        await tree.sync(guild=guild)
        if guild:
            await _clear_everywhere(tree)
        await _clear_copies(tree, _guild_id_in(known), guild_id)
    except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
        # The bot can still chat, and the next start tries again.
        logger.error("Discord did not take the slash commands: %s", error)  # noqa: TRY400 - no bug
        return
    logger.info("The slash commands changed and were sent to Discord.")
    try:
        await servers.save_setting(BOT_ITSELF, key, definition)
    except StoreUnavailableError as error:
        logger.warning("The next start sends the commands again: %s", error)


async def _clear_everywhere(tree: Tree) -> None:
    """Take from Discord the commands that are no server's own; `tree` keeps them."""
    if tree.client.application_id is not None:
        # `tree.sync` would have to lose them first, and it is them that /help explains.
        await tree.client.http.bulk_upsert_global_commands(tree.client.application_id, payload=[])


async def _clear_copies(tree: Tree, past_id: int, guild_id: int | None) -> None:
    """Take the commands from the server that had its own, unless it still is the one."""
    if past_id in (EVERYWHERE, guild_id):
        return
    past = discord.Object(past_id)
    tree.clear_commands(guild=past)
    try:
        await tree.sync(guild=past)
    except (discord.Forbidden, discord.NotFound) as error:
        # The bot has left that server, where its copies are not shown either.
        logger.info("The commands of server %s stay as they are: %s", past_id, error)


def _guild_id_in(definition: str | None) -> int:
    """The server whose own the commands were; EVERYWHERE when there was none, or none is known."""
    written = (definition or "").partition(":")[0]
    return int(written) if written.isdecimal() else EVERYWHERE


async def _digest(tree: Tree, guild: discord.Object | None) -> str:
    """A hash of what `tree.sync` would send, translations included."""
    translator = tree.translator
    payload = [
        await command.get_translated_payload(tree, translator)
        if translator
        else command.to_dict(tree)
        for command in tree.get_commands(guild=guild)
    ]
    payload.sort(key=lambda command: (command["type"], command["name"]))
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
