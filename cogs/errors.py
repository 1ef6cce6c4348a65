"""The one place where what goes wrong becomes a sentence that a person sees."""

import logging
from collections.abc import Mapping
from typing import Any

import aiohttp
import discord
from discord import app_commands

from bot.client.chat_bot import ChatBot
from bot.errors import ChatError, OwnFaultError, RefusedError
from bot.texts import explain, mark, say
from cogs._discord.places import NOT_HERE
from cogs._language import locale_of
from cogs._telling import tell

logger = logging.getLogger(__name__)

# As Discord's own settings name them; any other is shown as its id reads.
PERMISSION_NAMES: Mapping[str, str] = {
    "manage_guild": mark("Manage Server"),
    "manage_channels": mark("Manage Channels"),
}

# The interaction is over: its answer comes too late, or another process has given one already.
EXPIRED_CODES = (10062, 10015, 40060)


async def on_command_error(
    interaction: discord.Interaction[Any], error: app_commands.AppCommandError
) -> None:
    """Tell the member privately what is wrong; log what is a fault of ours."""
    cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
    if isinstance(cause, discord.HTTPException) and cause.code in EXPIRED_CODES:
        logger.warning("The answer came too late: %s", _place(interaction))
        return
    locale = locale_of(interaction)
    told = expected(cause, locale)
    if isinstance(told, OwnFaultError):
        logger.error("A command failed: %s", _place(interaction), exc_info=cause)
    try:
        await tell(interaction, explain(told, locale))
    except (discord.HTTPException, aiohttp.ClientError, OSError) as failure:
        logger.warning("The error was not told: %s: %s", _place(interaction), failure)


def expected(error: BaseException, locale: str) -> ChatError:
    """`error` as something that can be told; OwnFaultError for what no rule names."""
    match error:
        case ChatError():
            return error
        case app_commands.MissingPermissions():
            permission = _permission(error.missing_permissions[0], locale)
            return RefusedError(
                "You need the permission “{permission}” for that.", permission=permission
            )
        case app_commands.NoPrivateMessage():
            return RefusedError(NOT_HERE)
        # A value that no client offers: it knows an older form of the command, or it is forged.
        case (
            app_commands.TransformerError()
            | app_commands.CommandNotFound()
            | app_commands.CommandSignatureMismatch()
        ):
            return RefusedError("This command has changed: please try again in a minute.")
        case _:
            return OwnFaultError()


def _permission(name: str, locale: str) -> str:
    if name in PERMISSION_NAMES:
        return say(PERMISSION_NAMES[name], locale)
    return name.replace("_", " ").title()


def _place(interaction: discord.Interaction[Any]) -> str:
    """Which command, by whom and where: ids, and never what was typed."""
    command = interaction.command.qualified_name if interaction.command else "unknown command"
    return (
        f"{command} (interaction {interaction.id}, user {interaction.user.id}, "
        f"channel {interaction.channel_id}, server {interaction.guild_id})"
    )


async def setup(bot: ChatBot) -> None:
    """Answer every command that fails."""
    bot.tree.error(on_command_error)
