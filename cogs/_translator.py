"""Slash commands in the languages of the catalogues: descriptions and choices, never names."""

import discord
from discord import app_commands
from discord.app_commands import TranslationContextLocation, TranslationContextTypes

from bot.texts import FALLBACK_LANGUAGE, language_of, say

_NAMES = frozenset(
    {
        TranslationContextLocation.command_name,
        TranslationContextLocation.group_name,
        TranslationContextLocation.parameter_name,
    }
)


class CatalogueTranslator(app_commands.Translator):
    """Asks bot.texts for what Discord shows of a command.

    Names stay English: documentation and people can then name a command or an option to
    anybody.
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
