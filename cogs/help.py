"""/help: what the bot is, how to talk to it, and its commands."""

import logging
from collections.abc import Mapping

import aiohttp
import discord
from discord import app_commands
from discord.app_commands import locale_str
from discord.ext import commands

from bot.client.chat_bot import ChatBot
from bot.settings.settings import Settings
from bot.texts import say
from cogs._language import CatalogueTranslator, MemberLocales, locale_of
from cogs._telling import model_name, tell
from cogs.gate import OPEN_TO_ALL

logger = logging.getLogger(__name__)


class HelpCommands(commands.Cog):
    """Explains the bot. The commands are taken from the tree, so that none is forgotten."""

    def __init__(self, bot: commands.Bot, settings: Settings) -> None:
        self._bot = bot
        self._settings = settings
        self._model = model_name(settings.model)
        self._ids: Mapping[str, int] = {}

    @app_commands.command(
        name="help",
        description=locale_str("What I am and how to talk to me"),
        extras={OPEN_TO_ALL: True},
    )
    async def help(self, interaction: discord.Interaction) -> None:
        """A short introduction with all commands."""
        await interaction.response.defer(ephemeral=True)
        if not self._ids:
            self._ids = await self._fetch_ids()
        await tell(interaction, self._introduction(locale_of(interaction)))

    def _introduction(self, locale: str) -> str:
        lines = [
            say(
                "I'm **a bot**, not a person. A language model ({model}) writes my replies, "
                "and it makes things up: please don't rely on what I say.",
                locale,
                model=f"`{self._model}`",
            ),
            say(
                "**Talk to me**: mention me ({mention}), or reply to one of my messages.",
                locale,
                mention=self._bot.user.mention if self._bot.user else "@Banter",
            ),
        ]
        if self._settings.allow_dms:
            lines.append(say("In a direct message, just write.", locale))
        lines.append(say("**Commands**", locale))
        lines += self._commands(locale)
        lines.append(
            say(
                "**Privacy**: I keep only what is said to me and what I answer, for {days} days; "
                "{privacy} tells you more.",
                locale,
                days=self._settings.retention_days,
                privacy=self._mention("privacy"),
            )
        )
        return "\n".join(lines)

    def _commands(self, locale: str) -> list[str]:
        """A line for each command; a group cannot be used itself, only what is in it."""
        usable = [
            command
            for command in self._bot.tree.walk_commands(type=discord.AppCommandType.chat_input)
            if isinstance(command, app_commands.Command)
        ]
        return [
            f"{self._mention(command.qualified_name)} {say(command.description, locale)}"
            for command in sorted(usable, key=lambda command: command.qualified_name)
        ]

    def _mention(self, name: str) -> str:
        """A clickable mention of a command, or its name while its id is not known."""
        command_id = self._ids.get(name.split(" ", maxsplit=1)[0])
        return f"</{name}:{command_id}>" if command_id else f"`/{name}`"

    async def _fetch_ids(self) -> Mapping[str, int]:
        """The commands' ids at Discord, by name; none where Discord does not tell."""
        guild_id = self._settings.dev_guild_id
        guild = discord.Object(guild_id) if guild_id else None
        try:
            registered = await self._bot.tree.fetch_commands(guild=guild)
        except (discord.DiscordException, aiohttp.ClientError, OSError) as error:
            logger.warning("The ids of the commands could not be fetched: %s", error)
            return {}
        return {command.name: command.id for command in registered}


async def setup(bot: ChatBot) -> None:
    """Add the command, and what makes all commands speak a member's language."""
    services = bot.services
    await bot.tree.set_translator(CatalogueTranslator())
    await bot.add_cog(MemberLocales(services.servers))
    await bot.add_cog(HelpCommands(bot, services.settings))
