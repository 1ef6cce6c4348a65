"""Asks before every command whether this member may use it here."""

from functools import partial
from typing import Any

import discord

from bot.client.chat_bot import ChatBot
from bot.settings.settings import Settings
from bot.texts import mark, say
from cogs._discord.fence import is_open_to
from cogs._language import locale_of
from cogs._telling import tell

OPEN_TO_ALL = "open_to_all"  # in a command's extras: no list of the operator's closes it
NOT_OPEN = mark(
    "The person who runs me hasn't given you access here: only `/help`, `/privacy` "
    "and `/mydata` work."
)


async def admits(settings: Settings, interaction: discord.Interaction[Any]) -> bool:
    """Whether the operator's lists let a member use a command; if not, one sentence says so.

    Messages meet the same lists in the chat cog.
    """
    command = interaction.command
    if command is None or command.extras.get(OPEN_TO_ALL):
        return True  # a command that is gone gets a sentence of its own
    in_server = interaction.guild_id is not None
    if is_open_to(interaction.user, interaction.channel, settings, in_server=in_server):
        return True
    await tell(interaction, say(NOT_OPEN, locale_of(interaction)))
    return False


async def setup(bot: ChatBot) -> None:
    """Ask the gate from now on."""
    bot.admits = partial(admits, bot.services.settings)
