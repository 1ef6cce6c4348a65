"""What the bot may do in a channel, as discord.py computes it from roles and overwrites."""

import asyncio
from collections.abc import Collection

import discord

from bot.client.chat_bot import PERMISSIONS
from bot.doctor.findings import Finding, Words, fault, ok, softened, warn
from bot.settings.settings import Settings
from bot.texts import mark

Channel = discord.abc.GuildChannel | discord.Thread

# As Discord calls them where they are set.
NAMES = {
    "read_messages": mark("View Channel"),
    "send_messages": mark("Send Messages"),
    "send_messages_in_threads": mark("Send Messages in Threads"),
    "read_message_history": mark("Read Message History"),
}
IN_THREADS = "send_messages_in_threads"


async def examine_channels(
    client: discord.Client, settings: Settings, channel_ids: Collection[int]
) -> list[Finding]:
    """A finding for each channel: those asked for, then those that the settings name.

    What is wrong in the latter does not keep the bot from starting.
    Raises what is in `bot.client.connection.UNREACHABLE`.
    """
    listed = sorted(settings.allowed_channel_ids - set(channel_ids))
    ids = [*dict.fromkeys(channel_ids), *listed]
    found = await asyncio.gather(*(_find(client, channel_id) for channel_id in ids))
    guild_ids = {one.guild.id for one in found if isinstance(one, Channel)}
    members = await asyncio.gather(*(_bot_in(client, guild_id) for guild_id in guild_ids))
    bots = dict(zip(guild_ids, members, strict=True))
    findings = []
    for channel_id, one in zip(ids, found, strict=True):
        finding = (
            await _examine(one, bots[one.guild.id], settings) if isinstance(one, Channel) else one
        )
        findings.append(softened(finding) if channel_id in listed else finding)
    return findings


async def _find(client: discord.Client, channel_id: int) -> Channel | Finding:
    """The channel of a server, or what is found instead."""
    try:
        channel = await client.fetch_channel(channel_id)
    except discord.NotFound:
        return fault(
            "Discord knows no channel {id}: copy its link again (Copy Link in the channel's menu).",
            id=channel_id,
        )
    except discord.Forbidden:
        return fault(
            "The bot cannot see the channel {id}: invite it to that server, or allow View Channel "
            "for its role in the channel's settings, under Permissions.",
            id=channel_id,
        )
    except discord.InvalidData:
        return _no_place(channel_id)
    if isinstance(channel, discord.CategoryChannel):
        return _no_place(channel_id)
    if isinstance(channel, discord.abc.PrivateChannel):
        return ok("{id} is a direct message, which needs no permission.", id=channel_id)
    return channel


def _no_place(channel_id: int) -> Finding:
    """What is said of a channel that holds no messages."""
    return fault(
        "{id} is a category or something else without messages: name a channel in it.",
        id=channel_id,
    )


async def _bot_in(client: discord.Client, guild_id: int) -> discord.Member:
    """The bot as a member of a server, whose roles come with it."""
    guild = await client.fetch_guild(guild_id)
    return await guild.fetch_member(client.user.id if client.user else 0)


async def _examine(channel: Channel, bot: discord.Member, settings: Settings) -> Finding:
    """What the bot may do in `channel`, and then what the settings say of it."""
    where = {"channel": channel.name, "server": bot.guild.name}
    holder = channel
    if isinstance(channel, discord.Thread):  # it has no permissions of its own
        holder = await bot.guild.fetch_channel(channel.parent_id)
    holder.guild = bot.guild  # the one that came with the channel knows no roles
    granted = holder.permissions_for(bot)
    if bot.is_timed_out():
        return fault(
            "#{channel} in {server}: the bot is timed out in this server; a moderator can end "
            "that.",
            **where,
        )
    if isinstance(channel, discord.Thread) and channel.locked and not granted.manage_threads:
        return fault("#{channel} in {server}: the thread is locked; unlock it.", **where)
    return _judge(channel, _lacking(channel, granted), where) or _fence(channel, settings, where)


def _lacking(channel: Channel, granted: discord.Permissions) -> list[str]:
    """What the bot needs in `channel` and does not have."""
    needed = [name for name, is_needed in PERMISSIONS if is_needed]
    if isinstance(channel, discord.Thread | discord.ForumChannel):
        needed.remove("send_messages")  # it starts no posts, and messages there are in threads
    return [name for name in needed if not getattr(granted, name)]


def _judge(channel: Channel, lacking: list[str], where: dict[str, str]) -> Finding | None:
    """What a lack of permissions means; None where there is none."""
    if not lacking:
        return None
    if lacking == [IN_THREADS] and isinstance(channel, discord.TextChannel):
        return warn(
            "#{channel} in {server}: the bot cannot answer in threads there; if it should, allow "
            "Send Messages in Threads for its role in the channel's settings, under Permissions.",
            **where,
        )
    return fault(
        "#{channel} in {server}: the bot lacks {permissions}; allow it for its role in the "
        "channel's settings, under Permissions.",
        permissions=Words(tuple(NAMES.get(name, name) for name in lacking)),
        **where,
    )


def _fence(channel: Channel, settings: Settings, where: dict[str, str]) -> Finding:
    """What the settings say of a channel where Discord lets the bot talk."""
    ids = {channel.id, channel.parent_id if isinstance(channel, discord.Thread) else channel.id}
    if ids & settings.blocked_channel_ids:
        return warn(
            "#{channel} in {server}: the bot may talk there, but BLOCKED_CHANNEL_IDS has its id; "
            "take it out.",
            **where,
        )
    if settings.allowed_channel_ids and not ids & settings.allowed_channel_ids:
        return warn(
            "#{channel} in {server}: the bot may talk there, but ALLOWED_CHANNEL_IDS lacks its id; "
            "add it.",
            **where,
        )
    return ok("#{channel} in {server}: the bot may do everything it has to there.", **where)
