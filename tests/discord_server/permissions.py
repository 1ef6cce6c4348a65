"""Permission bits, and Discord's rule for what a member may do in a channel."""

from enum import IntFlag

from tests.discord_server.state import Channel, Guild, User


class Permission(IntFlag):
    """The permissions that matter to a bot that talks."""

    NONE = 0
    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    CONNECT = 1 << 20
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    SEND_MESSAGES_IN_THREADS = 1 << 38


EVERYTHING = Permission((1 << 53) - 1)
TALKING = (
    Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.SEND_MESSAGES_IN_THREADS
    | Permission.READ_MESSAGE_HISTORY
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.ADD_REACTIONS
    | Permission.CONNECT
    | Permission.USE_APPLICATION_COMMANDS
    | Permission.CREATE_PUBLIC_THREADS
)
_WHILE_TIMED_OUT = Permission.VIEW_CHANNEL | Permission.READ_MESSAGE_HISTORY
_NOT_WITHOUT_SENDING = (
    Permission.MENTION_EVERYONE | Permission.ATTACH_FILES | Permission.EMBED_LINKS
)


def permissions_in(channel: Channel, user: User) -> Permission:
    """What `user` may do in `channel`: roles, then overwrites, in the order Discord documents."""
    if channel.guild is None:
        return TALKING
    guild = channel.guild
    member = guild.members.get(user.id)
    if member is None:
        return Permission.NONE
    base = _of_roles(guild, user)
    if user is guild.owner or Permission.ADMINISTRATOR in base:
        return EVERYTHING
    allowed = _overwritten(base, channel.parent if channel.is_thread else channel, guild, user)
    if member.timed_out_until is not None:
        allowed &= _WHILE_TIMED_OUT
    if Permission.VIEW_CHANNEL not in allowed:
        return Permission.NONE
    if Permission.SEND_MESSAGES not in allowed:
        allowed &= ~_NOT_WITHOUT_SENDING
    return allowed


def _of_roles(guild: Guild, user: User) -> Permission:
    base = Permission(guild.everyone.permissions)
    for role in guild.members[user.id].roles:
        base |= Permission(role.permissions)
    return base


def _overwritten(base: Permission, channel: Channel | None, guild: Guild, user: User) -> Permission:
    if channel is None:
        return base
    everyone = channel.overwrites.get(guild.everyone.id)
    if everyone is not None:
        base = (base & ~Permission(everyone.deny)) | Permission(everyone.allow)
    allow = deny = Permission.NONE
    for role in guild.members[user.id].roles:
        overwrite = channel.overwrites.get(role.id)
        if overwrite is not None:
            allow |= Permission(overwrite.allow)
            deny |= Permission(overwrite.deny)
    base = (base & ~deny) | allow
    own = channel.overwrites.get(user.id)
    if own is not None:
        base = (base & ~Permission(own.deny)) | Permission(own.allow)
    return base
