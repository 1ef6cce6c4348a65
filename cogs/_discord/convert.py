"""A discord.Message becomes an Utterance: the last place that sees discord."""

import re
from datetime import UTC, datetime
from functools import partial

import discord

from bot.dialogue.text import clean
from bot.dialogue.turn import Scope, Utterance

SOME_ROLE = "@role"
SOME_CHANNEL = "#channel"
# What Discord shows of a channel that a bot may not see, since November 2026.
HIDDEN_NAME = "___hidden___"

# https://discord.com/developers/docs/reference#message-formatting
_MARKUP = re.compile(
    r"<@!?(?P<user>\d{1,20})>"
    r"|<@&(?P<role>\d{1,20})>"
    r"|<#(?P<channel>\d{1,20})>"
    r"|<a?:(?P<emoji>\w{1,32}):\d{1,20}>"
    r"|<t:(?P<time>-?\d{1,13})(?::[A-Za-z])?>"
    r"|</(?P<command>[^:<>]{1,100}):\d{1,20}>"
)


def is_for_us(message: discord.Message, bot_id: int) -> bool:
    """Whether `message` speaks to the bot: in a DM, by an @mention, or as a reply to us.

    A reply that pings has us among its mentions. One that does not ping carries its text only
    where the operator switched the Message Content intent on.
    """
    if isinstance(message.channel, discord.DMChannel):
        return True
    if any(user.id == bot_id for user in message.mentions):
        return True
    reference = _answered(message)
    answered = reference.resolved if reference else None
    return (
        isinstance(answered, discord.Message)
        and answered.author.id == bot_id
        and bool(message.content)
    )


def utterance_of(message: discord.Message, bot_id: int, history: str) -> Utterance:
    """What `message` says to the bot; its text is blank where there are no words.

    `history` is the setting: `channel` or `member`.
    """
    channel, guild, reference = message.channel, message.guild, _answered(message)
    return Utterance(
        message_id=message.id,
        scope=scope_of(channel.id, message.author.id, in_server=guild is not None, history=history),
        author_id=message.author.id,
        text=text_of(message, bot_id),
        created_at=message.created_at,
        guild_id=guild.id if guild else None,
        parent_channel_id=channel.parent_id if isinstance(channel, discord.Thread) else None,
        reply_to_id=reference.message_id if reference else None,
    )


def wordless(message: discord.Message) -> Utterance:
    """Where an apology goes when `message` itself could not be converted."""
    return Utterance(
        message_id=message.id,
        scope=Scope(message.channel.id),
        author_id=message.author.id,
        text="",
        created_at=message.created_at,
        guild_id=message.guild.id if message.guild else None,
    )


def scope_of(channel_id: int, user_id: int, *, in_server: bool, history: str) -> Scope:
    """Whose history a message belongs to; in a DM there is only one member anyway."""
    return Scope(channel_id, user_id if in_server and history == "member" else None)


def text_of(message: discord.Message, bot_id: int) -> str:
    """The words of `message`: our mention gone, other markup by its name, cleaned."""
    spoken = _mention_of_us(message, bot_id).sub("", message.content)
    return clean(_MARKUP.sub(partial(_in_words, message), spoken))


def has_more_than_a_mention(message: discord.Message, bot_id: int) -> bool:
    """Whether there is something beside our mention, be it only what we cannot read."""
    rest = _mention_of_us(message, bot_id).sub("", message.content)
    beside = (message.attachments, message.stickers, message.poll, message.message_snapshots)
    return bool(rest.strip()) or any(beside)


def _answered(message: discord.Message) -> discord.MessageReference | None:
    """The reference to what `message` answers; that of a forward is to what it repeats."""
    return message.reference if message.type is discord.MessageType.reply else None


def _mention_of_us(message: discord.Message, bot_id: int) -> re.Pattern[str]:
    """Our mention with what it leaves behind: a comma that set it off, one space before it.

    Discord's autocompletion offers the role that belongs to the bot beside the bot itself.
    """
    own_role = message.guild.self_role if message.guild else None
    role = f"|<@&{own_role.id}>" if own_role else ""
    mention = f"(?:<@!?{bot_id}>{role})"
    return re.compile(rf"\A\s*{mention}(?:[,:;](?=\s|\Z))?|\s?,?\s?{mention}")


def _in_words(message: discord.Message, found: re.Match[str]) -> str:
    kind, value = found.lastgroup, found[found.lastgroup or 0]
    match kind:
        case "user":
            names = (user.display_name for user in message.mentions if user.id == int(value))
            return f"@{next(names, 'someone')}"
        case "role":
            role = message.guild.get_role(int(value)) if message.guild else None
            return f"@{role.name}" if role else SOME_ROLE
        case "channel":
            return _channel_in_words(message, int(value))
        case "emoji":
            return f":{value}:"
        case "time":
            return _time_in_words(int(value))
        case _:
            return f"/{value}"


def _channel_in_words(message: discord.Message, channel_id: int) -> str:
    """The channel's name where the author may see it: from the bot no member learns another."""
    channel = message.guild.get_channel_or_thread(channel_id) if message.guild else None
    author = message.author
    if channel is None or not isinstance(author, discord.Member):
        return SOME_CHANNEL
    if channel.name == HIDDEN_NAME:
        return SOME_CHANNEL
    if isinstance(channel, discord.Thread) and (channel.parent is None or channel.is_private()):
        return SOME_CHANNEL
    may_see = channel.permissions_for(author).view_channel
    return f"#{channel.name}" if may_see else SOME_CHANNEL


def _time_in_words(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):  # beyond the years that datetime knows
        return ""
