"""Where a command is used, in the words of the dialogue."""

import discord

from bot.dialogue.sampling import Place
from bot.dialogue.turn import Scope
from bot.errors import RefusedError
from bot.texts import mark
from cogs._discord.convert import scope_of

NOT_HERE = mark("That works only in a server, not in a direct message.")


def place_of(interaction: discord.Interaction) -> Place:
    """The place whose settings count; a thread has those of the channel it hangs on."""
    channel = interaction.channel
    if isinstance(channel, discord.Thread):
        return Place(interaction.guild_id, channel.parent_id, interaction.user.id)
    return Place(interaction.guild_id, _channel_id(interaction), interaction.user.id)


def scope_at(interaction: discord.Interaction, history: str) -> Scope:
    """The scope that a message written there would belong to."""
    in_server = interaction.guild_id is not None
    channel_id, user_id = _channel_id(interaction), interaction.user.id
    return scope_of(channel_id, user_id, in_server=in_server, history=history)


def _channel_id(interaction: discord.Interaction) -> int:
    if interaction.channel_id is None:  # a kind of channel that discord.py does not know
        raise RefusedError(NOT_HERE)
    return interaction.channel_id
