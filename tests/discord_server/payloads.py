"""State as the JSON that Discord sends."""

from dataclasses import dataclass
from datetime import datetime

from tests.discord_server.permissions import Permission, permissions_in
from tests.discord_server.state import (
    Attachment,
    Channel,
    ChannelType,
    Guild,
    Json,
    Member,
    Message,
    MessageType,
    Role,
    User,
)

_HIDDEN_NAME = "___hidden___"
_HIDDEN_FLAG = 1 << 17


@dataclass(frozen=True, slots=True)
class Viewer:
    """The application that reads: `reads_content` where it has MESSAGE_CONTENT."""

    user: User
    reads_content: bool


def stamp(moment: datetime | None) -> str | None:
    """A moment as Discord writes it."""
    return None if moment is None else moment.isoformat()


def user_payload(user: User) -> Json:
    """A user object."""
    return {
        "id": str(user.id),
        "username": user.name,
        "discriminator": "0",
        "global_name": None if user.bot else user.name.title(),
        "avatar": None,
        "bot": user.bot,
        "public_flags": 0,
    }


def role_payload(role: Role) -> Json:
    """A role object."""
    return {
        "id": str(role.id),
        "name": role.name,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "position": role.position,
        "permissions": str(int(role.permissions)),
        "managed": False,
        "mentionable": True,
        "flags": 0,
    }


def member_payload(member: Member) -> Json:
    """A guild member object, without its user."""
    return {
        "roles": [str(role.id) for role in member.roles],
        "nick": None,
        "avatar": None,
        "joined_at": stamp(member.joined_at),
        "premium_since": None,
        "communication_disabled_until": stamp(member.timed_out_until),
        "deaf": False,
        "mute": False,
        "flags": 0,
        "pending": False,
    }


def full_member_payload(member: Member) -> Json:
    """A guild member object with its user."""
    return {**member_payload(member), "user": user_payload(member.user)}


def channel_payload(channel: Channel, viewer: User) -> Json:
    """A channel object; one that the viewer cannot see comes without its name."""
    if channel.type is ChannelType.DM:
        return _dm_payload(channel)
    if channel.is_thread:
        return thread_payload(channel)
    visible = Permission.VIEW_CHANNEL in permissions_in(channel, viewer)
    assert channel.guild is not None
    return {
        "id": str(channel.id),
        "type": int(channel.type),
        "guild_id": str(channel.guild.id),
        "name": channel.name if visible else _HIDDEN_NAME,
        "flags": 0 if visible else _HIDDEN_FLAG,
        "position": 0,
        "parent_id": None if channel.parent is None else str(channel.parent.id),
        "permission_overwrites": [
            {
                "id": str(target_id),
                "type": overwrite.kind,
                "allow": str(int(overwrite.allow)),
                "deny": str(int(overwrite.deny)),
            }
            for target_id, overwrite in channel.overwrites.items()
        ],
        "topic": None,
        "nsfw": False,
        "rate_limit_per_user": channel.slowmode_seconds,
        "last_message_id": None,
        **_extras(channel.type),
    }


def _extras(kind: ChannelType) -> Json:
    if kind in {ChannelType.VOICE, ChannelType.STAGE}:
        return {"bitrate": 64000, "user_limit": 0, "rtc_region": None}
    if kind is ChannelType.FORUM:
        return {"available_tags": [], "default_reaction_emoji": None}
    return {}


def _dm_payload(channel: Channel) -> Json:
    assert channel.recipient is not None
    return {
        "id": str(channel.id),
        "type": int(channel.type),
        "recipients": [user_payload(channel.recipient)],
        "last_message_id": None,
        "flags": 0,
    }


def thread_payload(thread: Channel) -> Json:
    """A thread object."""
    assert thread.guild is not None
    assert thread.parent is not None
    made = thread.guild.joined_at
    return {
        "id": str(thread.id),
        "type": int(thread.type),
        "guild_id": str(thread.guild.id),
        "parent_id": str(thread.parent.id),
        "owner_id": str(thread.owner_id),
        "name": thread.name,
        "flags": 0,
        "message_count": len(thread.messages),
        "member_count": 1,
        "total_message_sent": len(thread.messages),
        "rate_limit_per_user": thread.slowmode_seconds,
        "last_message_id": None,
        "thread_metadata": {
            "archived": thread.archived,
            "locked": thread.locked,
            "auto_archive_duration": 1440,
            "archive_timestamp": stamp(made),
            "create_timestamp": stamp(made),
        },
    }


def guild_payload(guild: Guild, viewer: User) -> Json:
    """A guild object as GUILD_CREATE brings it: of the members only the viewer's own."""
    channels = guild.channels.values()
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "owner_id": str(guild.owner.id),
        "preferred_locale": guild.locale,
        "features": [],
        "roles": [role_payload(role) for role in guild.roles.values()],
        "emojis": [],
        "stickers": [],
        "joined_at": stamp(guild.joined_at),
        "large": False,
        "unavailable": False,
        "member_count": len(guild.members),
        "members": [full_member_payload(guild.members[viewer.id])],
        "channels": [channel_payload(one, viewer) for one in channels if not one.is_thread],
        "threads": [
            thread_payload(one)
            for one in channels
            if one.is_thread
            and not one.archived
            and Permission.VIEW_CHANNEL in permissions_in(one, viewer)
        ],
        "voice_states": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def attachment_payload(attachment: Attachment) -> Json:
    """An attachment object."""
    return {
        "id": str(attachment.id),
        "filename": attachment.filename,
        "size": len(attachment.content),
        "content_type": attachment.content_type,
        "url": attachment.url,
        "proxy_url": attachment.url,
    }


def readable(message: Message, viewer: Viewer) -> bool:
    """Whether Discord shows the viewer what a message says.

    Without MESSAGE_CONTENT: own messages, direct messages, and those that ping the application.
    """
    return (
        viewer.reads_content
        or message.author is viewer.user
        or message.channel.type is ChannelType.DM
        or viewer.user.id in message.pinged.users
    )


def message_payload(message: Message, viewer: Viewer, users: dict[int, User]) -> Json:
    """A message object, emptied where the viewer may not read it."""
    shown = readable(message, viewer)
    payload: Json = {
        "id": str(message.id),
        "channel_id": str(message.channel.id),
        "author": _author_payload(message),
        "content": message.content if shown else "",
        "timestamp": stamp(message.created_at),
        "edited_timestamp": stamp(message.edited_at),
        "tts": False,
        "mention_everyone": message.pinged.everyone,
        "mentions": [
            user_payload(users[user_id])
            for user_id in sorted(message.pinged.users)
            if user_id in users
        ],
        "mention_roles": [str(role_id) for role_id in sorted(message.pinged.roles)],
        "attachments": [attachment_payload(one) for one in message.attachments] if shown else [],
        "embeds": list(message.embeds) if shown else [],
        "components": list(message.components) if shown else [],
        "pinned": False,
        "type": int(message.type),
        "flags": message.flags,
    }
    if message.nonce is not None and message.author is viewer.user:
        payload["nonce"] = message.nonce
    if message.webhook_id is not None:
        payload["webhook_id"] = str(message.webhook_id)
    if message.reference is not None:
        payload.update(_reply_payload(message, viewer, users))
    return payload


def _author_payload(message: Message) -> Json:
    if message.webhook_id is None or message.type in {
        MessageType.CHAT_INPUT_COMMAND,
        MessageType.CONTEXT_MENU_COMMAND,
    }:
        return user_payload(message.author)
    return {**user_payload(message.author), "id": str(message.webhook_id), "bot": True}


def _reply_payload(message: Message, viewer: Viewer, users: dict[int, User]) -> Json:
    assert message.reference is not None
    guild = message.channel.guild
    reference = {
        "type": 0,
        "channel_id": str(message.reference.channel_id),
        "message_id": str(message.reference.message_id),
    }
    if guild is not None:
        reference["guild_id"] = str(guild.id)
    if message.type is not MessageType.REPLY:
        return {"message_reference": reference}
    original = message.channel.messages.get(message.reference.message_id)
    if original is None:
        return {"message_reference": reference, "referenced_message": None}
    nested = message_payload(original, viewer, users)
    nested.pop("referenced_message", None)
    return {"message_reference": reference, "referenced_message": nested}
