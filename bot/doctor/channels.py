"""What the bot may do in a channel, as discord.py computes it from roles and overwrites."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import discord

from bot.client.chat_bot import PERMISSIONS
from bot.doctor.findings import Finding, Words, fault, ok, softened, warning
from bot.errors import UnavailableError
from bot.settings.settings import Settings
from bot.texts import mark

# As Discord calls them where they are set.
NAMES = {
    "read_messages": mark("View Channel"),
    "send_messages": mark("Send Messages"),
    "send_messages_in_threads": mark("Send Messages in Threads"),
    "read_message_history": mark("Read Message History"),
}
IN_THREADS = "send_messages_in_threads"


@dataclass(frozen=True, slots=True)
class Membership:
    """The bot in a server."""

    guild: discord.Guild
    me: discord.Member


async def examine_channels(
    client: discord.Client, settings: Settings, channel_ids: Collection[int]
) -> list[Finding]:
    """A finding for each channel: those asked for, then those that the settings name.

    What is wrong in the latter keeps nobody from starting the bot.
    Raises what is in `bot.client.connection.UNREACHABLE`.
    """
    listed = sorted(settings.allowed_channel_ids - set(channel_ids))
    ids = [*dict.fromkeys(channel_ids), *listed]
    found = await asyncio.gather(*(_find(client, channel_id) for channel_id in ids))
    guild_ids = {one.guild.id for one in found if isinstance(one, Place)}
    memberships = dict(zip(guild_ids, await _memberships(client, guild_ids), strict=True))
    findings = [
        one
        if isinstance(one, Finding)
        else await _examine(one, memberships[one.guild.id], settings)
        for one in found
    ]
    return [
        softened(finding) if channel_id in listed else finding
        for channel_id, finding in zip(ids, findings, strict=True)
    ]


Place = discord.abc.GuildChannel | discord.Thread


async def _find(client: discord.Client, channel_id: int) -> Place | Finding:
    try:
        channel = await client.fetch_channel(channel_id)
    except discord.NotFound:
        return fault(
            UnavailableError(
                "Discord knows no channel {id}: copy its link again (Copy Link in the channel's "
                "menu).",
                id=channel_id,
            )
        )
    except discord.Forbidden:
        return fault(
            UnavailableError(
                "The bot cannot see the channel {id}: invite it to that server, or allow View "
                "Channel for its role in the channel's settings, under Permissions.",
                id=channel_id,
            )
        )
    except discord.InvalidData:
        return _no_place(channel_id)
    if isinstance(channel, discord.CategoryChannel):
        return _no_place(channel_id)
    if isinstance(channel, discord.abc.PrivateChannel):
        return ok(mark("{id} is a direct message, which needs no permission."), id=channel_id)
    return channel


def _no_place(channel_id: int) -> Finding:
    return fault(
        UnavailableError(
            "{id} is a category or something else without messages: name a channel in it.",
            id=channel_id,
        )
    )


async def _memberships(client: discord.Client, guild_ids: Iterable[int]) -> list[Membership]:
    async def membership(guild_id: int) -> Membership:
        guild = await client.fetch_guild(guild_id)
        return Membership(guild, await guild.fetch_member(client.user.id if client.user else 0))

    return await asyncio.gather(*(membership(guild_id) for guild_id in guild_ids))


async def _examine(channel: Place, home: Membership, settings: Settings) -> Finding:
    where = {"channel": channel.name, "server": home.guild.name}
    holder = channel
    if isinstance(channel, discord.Thread):  # it has no permissions of its own
        holder = await home.guild.fetch_channel(channel.parent_id)
    holder.guild = home.guild  # the one that came with the channel knows no roles
    granted = holder.permissions_for(home.me)
    if home.me.is_timed_out():
        return fault(
            UnavailableError(
                "#{channel} in {server}: the bot is timed out in this server; a moderator can end "
                "that.",
                **where,
            )
        )
    if isinstance(channel, discord.Thread) and channel.locked and not granted.manage_threads:
        return fault(
            UnavailableError("#{channel} in {server}: the thread is locked; unlock it.", **where)
        )
    return _judge(channel, _lacking(channel, granted), where) or _fence(channel, settings, where)


def _lacking(channel: Place, granted: discord.Permissions) -> list[str]:
    """What the bot needs in `channel` and does not have."""
    needed = [name for name, is_needed in PERMISSIONS if is_needed]
    if isinstance(channel, discord.Thread | discord.ForumChannel):
        needed.remove("send_messages")  # it starts no posts, and messages there are in threads
    return [name for name in needed if not getattr(granted, name)]


def _judge(channel: Place, lacking: list[str], where: dict[str, str]) -> Finding | None:
    if not lacking:
        return None
    if lacking == [IN_THREADS] and isinstance(channel, discord.TextChannel):
        return warning(
            mark(
                "#{channel} in {server}: the bot cannot answer in threads there; if it should, "
                "allow Send Messages in Threads for its role in the channel's settings, under "
                "Permissions."
            ),
            **where,
        )
    return fault(
        UnavailableError(
            "#{channel} in {server}: the bot lacks {permissions}; allow it for its role in the "
            "channel's settings, under Permissions.",
            permissions=Words(tuple(NAMES.get(name, name) for name in lacking)),
            **where,
        )
    )


def _fence(channel: Place, settings: Settings, where: dict[str, str]) -> Finding:
    """What the settings say of a channel where Discord lets the bot talk."""
    ids = {channel.id, channel.parent_id if isinstance(channel, discord.Thread) else channel.id}
    if ids & settings.blocked_channel_ids:
        return warning(
            mark(
                "#{channel} in {server}: the bot may talk there, but BLOCKED_CHANNEL_IDS has its "
                "id; take it out."
            ),
            **where,
        )
    if settings.allowed_channel_ids and not ids & settings.allowed_channel_ids:
        return warning(
            mark(
                "#{channel} in {server}: the bot may talk there, but ALLOWED_CHANNEL_IDS lacks its "
                "id; add it."
            ),
            **where,
        )
    return ok(mark("#{channel} in {server}: the bot may do everything it has to there."), **where)
