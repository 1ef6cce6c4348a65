"""Changes of the world together with the events that tell of them."""

from collections.abc import Sequence

from tests.discord_server.intents import Intent
from tests.discord_server.payloads import (
    channel_payload,
    full_member_payload,
    guild_payload,
    role_payload,
    thread_payload,
)
from tests.discord_server.platform import Platform
from tests.discord_server.state import Channel, Guild, Json, Member, Message, Role


def erase(platform: Platform, messages: Sequence[Message]) -> None:
    """Delete messages of one channel: one event, of the bulk kind where they are many."""
    if not messages:
        return
    channel = messages[0].channel
    for message in messages:
        message.deleted = True
        channel.messages.pop(message.id, None)
    told = [str(message.id) for message in messages if not message.ephemeral]
    payload: Json = {"channel_id": str(channel.id)}
    if channel.guild is not None:
        payload["guild_id"] = str(channel.guild.id)
    if platform.sees(channel) and len(messages) > 1:
        platform.dispatch_in(channel, "MESSAGE_DELETE_BULK", {**payload, "ids": told})
    elif platform.sees(channel) and told:
        platform.dispatch_in(channel, "MESSAGE_DELETE", {**payload, "id": told[0]})
    platform.watch.changed()


def announce_channel(platform: Platform, channel: Channel, event: str) -> None:
    """CHANNEL_CREATE, CHANNEL_UPDATE or CHANNEL_DELETE."""
    assert channel.guild is not None
    payload = channel_payload(channel, platform.world.bot)
    platform.hub.dispatch(event, payload, needs=Intent.GUILDS, guild_id=channel.guild.id)


def announce_thread(platform: Platform, thread: Channel) -> None:
    """THREAD_CREATE for a new thread."""
    assert thread.guild is not None
    if platform.sees(thread):
        payload = {**thread_payload(thread), "newly_created": True}
        platform.hub.dispatch(
            "THREAD_CREATE", payload, needs=Intent.GUILDS, guild_id=thread.guild.id
        )


def update_thread(platform: Platform, thread: Channel, *, archived: bool, locked: bool) -> None:
    """Archive, lock, or open a thread again."""
    assert thread.guild is not None
    thread.archived, thread.locked = archived, locked
    if platform.sees(thread):
        platform.hub.dispatch(
            "THREAD_UPDATE",
            thread_payload(thread),
            needs=Intent.GUILDS,
            guild_id=thread.guild.id,
        )


def announce_guild(platform: Platform, guild: Guild) -> None:
    """GUILD_CREATE for a guild that the bot has just joined."""
    payload = guild_payload(guild, platform.world.bot)
    platform.hub.dispatch("GUILD_CREATE", payload, needs=Intent.GUILDS, guild_id=guild.id)


def announce_role(platform: Platform, guild: Guild, role: Role) -> None:
    """GUILD_ROLE_CREATE."""
    payload = {"guild_id": str(guild.id), "role": role_payload(role)}
    platform.hub.dispatch("GUILD_ROLE_CREATE", payload, needs=Intent.GUILDS, guild_id=guild.id)


def announce_member(platform: Platform, guild: Guild, member: Member) -> None:
    """GUILD_MEMBER_UPDATE: of the bot itself to everyone, of others with their intent."""
    payload = {"guild_id": str(guild.id), **full_member_payload(member)}
    needs = Intent.NONE if member.user is platform.world.bot else Intent.GUILD_MEMBERS
    platform.hub.dispatch("GUILD_MEMBER_UPDATE", payload, needs=needs, guild_id=guild.id)


def lose(platform: Platform, guild: Guild) -> None:
    """GUILD_DELETE of an outage: the bot is still a member."""
    payload = {"id": str(guild.id), "unavailable": True}
    platform.hub.dispatch("GUILD_DELETE", payload, needs=Intent.GUILDS, guild_id=guild.id)


def leave(platform: Platform, guild: Guild) -> None:
    """Take the bot out of a guild."""
    guild.left = True
    payload = {"id": str(guild.id)}
    platform.hub.dispatch("GUILD_DELETE", payload, needs=Intent.GUILDS, guild_id=guild.id)


def remove_channel(platform: Platform, channel: Channel) -> None:
    """Delete a channel with everything in it."""
    assert channel.guild is not None
    payload = channel_payload(channel, platform.world.bot)
    platform.world.remove_channel(channel)
    event = "THREAD_DELETE" if channel.is_thread else "CHANNEL_DELETE"
    platform.hub.dispatch(event, payload, needs=Intent.GUILDS, guild_id=channel.guild.id)
