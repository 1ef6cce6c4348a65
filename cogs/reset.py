"""/reset: a conversation starts over."""

import discord
from discord import app_commands
from discord.app_commands import locale_str
from discord.ext import commands

from bot.answering.conversation import Conversation
from bot.client.chat_bot import ChatBot
from bot.texts import say
from cogs._discord.places import scope_at
from cogs._language import locale_of
from cogs._telling import tell


class ResetCommand(commands.Cog):
    """What a person can do with the history of the place they are in.

    Each member may reset a history that they share with others: the conversation belongs to those
    who have it, nothing is deleted, and the answer is public, so that all see who did it.
    """

    def __init__(self, conversation: Conversation, history: str) -> None:
        self._conversation = conversation
        self._history = history

    @app_commands.command(name="reset", description=locale_str("Start a new conversation here"))
    async def reset(self, interaction: discord.Interaction) -> None:
        """Begin a new epoch of the scope; a reply that still runs is made anew for it."""
        scope = scope_at(interaction, self._history)
        is_shared = interaction.guild_id is not None and scope.user_id is None
        await interaction.response.defer(ephemeral=not is_shared)
        await self._conversation.reset(scope)
        locale = locale_of(interaction)
        if is_shared:
            text = say("I've started over here: I no longer use what was said before.", locale)
        elif interaction.guild_id is not None:
            text = say(
                "I've started over with you here. My conversations with others go on.", locale
            )
        else:
            text = say("I've started over with you: I no longer use what we said before.", locale)
        await tell(interaction, text)


async def setup(bot: ChatBot) -> None:
    """Add the command."""
    services = bot.services
    await bot.add_cog(ResetCommand(services.conversation, services.settings.history))
