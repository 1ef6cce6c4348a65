"""The language of a person who uses a command: what they are shown, and what is remembered."""

import logging
from typing import Any

import discord
from discord import app_commands
from discord.app_commands import TranslationContextLocation as Location
from discord.app_commands import TranslationContextTypes
from discord.ext import commands

from bot.errors import StoreUnavailableError
from bot.ports import ServerStore
from bot.texts import FALLBACK_LANGUAGE, language_of, say

logger = logging.getLogger(__name__)

LEAVES_NO_TRACE = "leaves_no_trace"  # in a command's extras: nothing is kept of its use


def locale_of(interaction: discord.Interaction) -> str:
    """The locale of the person who used a command; Discord sends it with each use."""
    return str(interaction.locale)


class MemberLocales(commands.Cog):
    """Remembers the locale of each member who uses a command.

    Only interactions carry it: plain messages are answered in the locale last seen.
    """

    def __init__(self, servers: ServerStore) -> None:
        self._servers = servers

    @commands.Cog.listener()
    async def on_app_command_completion(
        self,
        interaction: discord.Interaction,
        command: app_commands.Command[Any, ..., Any] | app_commands.ContextMenu,
    ) -> None:
        """Save the locale once the command has been answered, so that no answer waits for it."""
        if command.extras.get(LEAVES_NO_TRACE):
            return
        try:
            await self._servers.save_locale(interaction.user.id, locale_of(interaction))
        except StoreUnavailableError:
            logger.debug("The locale of a member could not be saved.")


_NAMES = frozenset({Location.command_name, Location.group_name, Location.parameter_name})


class CatalogueTranslator(app_commands.Translator):
    """Asks bot.texts for what Discord shows of a command.

    Names stay English, so that documentation and people can name a command or an option in any
    language.
    """

    async def translate(
        self,
        string: app_commands.locale_str,
        locale: discord.Locale,
        context: TranslationContextTypes,
    ) -> str | None:
        """`string` in `locale`, or None where the English one is shown."""
        if context.location in _NAMES or language_of(str(locale)) == FALLBACK_LANGUAGE:
            return None
        translated = say(string.message, str(locale))
        return None if translated == string.message else translated
