"""Who may talk to the bot and where, and where the bot may answer."""

import discord

from bot.settings.settings import Settings

# What people write; everything else is a notice of Discord's (a member joined, a pin, …).
WRITTEN = (discord.MessageType.default, discord.MessageType.reply)


def is_written_by_a_person(message: discord.Message) -> bool:
    """Whether a member wrote `message`: no bot (we neither), no webhook, no notice of Discord."""
    is_automatic = message.author.bot or message.author.system or message.webhook_id is not None
    return message.type in WRITTEN and not is_automatic


def is_welcome(message: discord.Message, settings: Settings) -> bool:
    """Whether the operator's lists let `message` in."""
    in_server = not isinstance(message.channel, discord.DMChannel)
    if in_server and message.guild is None:  # one that Discord has not told us about yet
        return False
    return is_open_to(message.author, message.channel, settings, in_server=in_server)


def is_open_to(
    member: discord.abc.User, channel: object, settings: Settings, *, in_server: bool
) -> bool:
    """Whether the operator's lists let a member talk to us in `channel`.

    An empty list of what is allowed lets all. Roles are not known in a DM: where only certain
    roles may talk, DMs are closed.
    """
    if member.id in settings.blocked_user_ids:
        return False
    if not in_server:
        return settings.allow_dms and not settings.allowed_role_ids
    return _is_open_channel(channel, settings) and _has_open_role(member, settings)


def can_answer(message: discord.Message) -> bool:
    """Whether Discord would take an answer to `message`, as far as our permissions tell."""
    channel = message.channel
    granted = our_permissions(channel)
    if granted is None:
        return True  # only a try can tell
    if isinstance(channel, discord.Thread):
        is_open = not channel.locked or granted.manage_threads
        return granted.view_channel and granted.send_messages_in_threads and is_open
    return granted.view_channel and granted.send_messages


def our_permissions(channel: object) -> discord.Permissions | None:
    """What Discord lets us do in `channel`; None where that is not known.

    So it is in a DM, in a channel, or a thread of one, that Discord has not told us of, and
    where it has not told us which roles are ours: discord.py puts us into a server without any
    when a command comes first, and without the moment at which we joined.
    """
    if not isinstance(channel, discord.abc.GuildChannel | discord.Thread):
        return None
    if isinstance(channel, discord.Thread) and channel.parent is None:
        return None
    us: discord.Member | None = channel.guild.me
    return None if us is None or us.joined_at is None else channel.permissions_for(us)


def _is_open_channel(channel: object, settings: Settings) -> bool:
    """Whether the channel is open; a thread counts as the channel it hangs on, too."""
    allowed, blocked = settings.allowed_channel_ids, settings.blocked_channel_ids
    if not isinstance(channel, discord.abc.GuildChannel | discord.Thread):
        return not allowed and not blocked  # a thread of an unknown channel
    ids = {channel.id}
    if isinstance(channel, discord.Thread):
        ids.add(channel.parent_id)
    return not ids & blocked and (not allowed or bool(ids & allowed))


def _has_open_role(member: discord.abc.User, settings: Settings) -> bool:
    if not settings.allowed_role_ids:
        return True
    roles = member.roles if isinstance(member, discord.Member) else []
    return any(role.id in settings.allowed_role_ids for role in roles)
