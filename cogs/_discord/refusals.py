"""What a refusal of Discord's means for a message on its way."""

import discord

# https://discord.com/developers/docs/topics/opcodes-and-status-codes, JSON error codes
NO_HISTORY = 160002  # a reply without the permission to read the history
BLOCKED_TEXTS = (200000, 240000)  # by AutoMod, or a harmful link: the next text may pass
# Beside every other 403 what refuses all texts in a channel: not a text channel, an archived or
# locked thread, a DM that the member closed, slowmode.
CLOSED_CHANNELS = (50007, 50008, 50083, 50278, 160005, 20016)


def closes_channel(error: discord.HTTPException) -> bool:
    """Whether the channel takes nothing at all from us, for good."""
    is_refused = error.status == 403 and error.code not in BLOCKED_TEXTS
    return is_refused or error.code in CLOSED_CHANNELS


def is_gone(error: discord.HTTPException) -> bool:
    """Whether the message that we answer, or its channel, is gone."""
    # The text is all that discord.py gives of which field Discord refused.
    return error.status == 404 or (error.status == 400 and "message_reference" in error.text)


def is_limit(error: discord.HTTPException) -> bool:
    """Whether the same may be sent again, later."""
    return error.status == 429 and error.code not in CLOSED_CHANNELS
