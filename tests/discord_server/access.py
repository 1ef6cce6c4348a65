"""May the bot do this here? Otherwise the refusal that Discord would send."""

from tests.discord_server.errors import (
    MISSING_ACCESS,
    MISSING_PERMISSIONS,
    NO_DMS_TO_USER,
    NOT_A_TEXT_CHANNEL,
    THREAD_ARCHIVED,
    THREAD_LOCKED,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    RefusedError,
)
from tests.discord_server.permissions import Permission, permissions_in
from tests.discord_server.state import HOLDING_NO_MESSAGES, Channel, Message
from tests.discord_server.world import World


def visible_channel(world: World, channel_id: int) -> Channel:
    """A channel that the bot sees; 10003 or 50001."""
    channel = world.channels.get(channel_id)
    if channel is None:
        raise RefusedError(UNKNOWN_CHANNEL)
    if channel.guild is not None and channel.guild.left:
        raise RefusedError(MISSING_ACCESS)
    if Permission.VIEW_CHANNEL not in permissions_in(channel, world.bot):
        raise RefusedError(MISSING_ACCESS)
    return channel


def visible_message(world: World, channel_id: int, message_id: int) -> Message:
    """A message that the bot may fetch; 10008 for ephemeral ones too."""
    channel = visible_channel(world, channel_id)
    require(world, channel, Permission.READ_MESSAGE_HISTORY)
    message = channel.messages.get(message_id)
    if message is None or message.ephemeral:
        raise RefusedError(UNKNOWN_MESSAGE)
    return message


def require(world: World, channel: Channel, needed: Permission) -> None:
    """50013 unless the bot has the permission."""
    if needed not in permissions_in(channel, world.bot):
        raise RefusedError(MISSING_PERMISSIONS)


def require_open(channel: Channel) -> None:
    """50083 in an archived thread."""
    if channel.archived:
        raise RefusedError(THREAD_ARCHIVED)


def require_sending(world: World, channel: Channel) -> None:
    """The first reason why the bot may not send here, if there is one."""
    if channel.type in HOLDING_NO_MESSAGES:
        raise RefusedError(NOT_A_TEXT_CHANNEL)
    if channel.recipient is not None and not channel.recipient.takes_dms:
        raise RefusedError(NO_DMS_TO_USER)
    if channel.is_thread:
        _require_unlocked(world, channel)
        require(world, channel, Permission.SEND_MESSAGES_IN_THREADS)
    else:
        require(world, channel, Permission.SEND_MESSAGES)


def _require_unlocked(world: World, thread: Channel) -> None:
    if not thread.locked:
        return
    if Permission.MANAGE_THREADS in permissions_in(thread, world.bot):
        return
    raise RefusedError(THREAD_ARCHIVED if thread.archived else THREAD_LOCKED)
