"""What a Discord consists of: users, guilds, channels, messages."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from tests.discord_server.mentions import NOBODY, Pings

Json = dict[str, Any]


class ChannelType(IntEnum):
    """Discord's numbers for the kinds of channel."""

    TEXT = 0
    DM = 1
    VOICE = 2
    CATEGORY = 4
    NEWS = 5
    PUBLIC_THREAD = 11
    PRIVATE_THREAD = 12
    STAGE = 13
    FORUM = 15


THREADS = frozenset({ChannelType.PUBLIC_THREAD, ChannelType.PRIVATE_THREAD})
HOLDING_NO_MESSAGES = frozenset({ChannelType.CATEGORY, ChannelType.FORUM})


class MessageType(IntEnum):
    """Discord's numbers for the kinds of message."""

    DEFAULT = 0
    PINNED = 6
    MEMBER_JOINED = 7
    THREAD_CREATED = 18
    REPLY = 19
    CHAT_INPUT_COMMAND = 20
    THREAD_STARTER = 21
    CONTEXT_MENU_COMMAND = 23
    POLL_RESULT = 46


class MessageFlag(IntEnum):
    """The message flags this server gives a meaning to."""

    EPHEMERAL = 1 << 6
    LOADING = 1 << 7


@dataclass(eq=False, slots=True)
class User:
    """Somebody with an account; `takes_dms` is off where direct messages are refused."""

    id: int
    name: str
    bot: bool = False
    takes_dms: bool = True


@dataclass(eq=False, slots=True)
class Role:
    """A role of a guild; `permissions` are Discord's bits."""

    id: int
    name: str
    permissions: int
    position: int


@dataclass(frozen=True, slots=True)
class Overwrite:
    """What one channel allows and denies a role (`kind` 0) or a member (`kind` 1)."""

    kind: int
    allow: int
    deny: int


@dataclass(eq=False, slots=True)
class Member:
    """A user in a guild."""

    user: User
    roles: list[Role]
    joined_at: datetime
    timed_out_until: datetime | None = None


@dataclass(eq=False, slots=True)
class Guild:
    """A server in the sense of Discord's users."""

    id: int
    name: str
    owner: User
    locale: str
    joined_at: datetime
    roles: dict[int, Role] = field(default_factory=dict)
    channels: dict[int, "Channel"] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    left: bool = False

    @property
    def everyone(self) -> Role:
        """The role that every member has; it shares the guild's id."""
        return self.roles[self.id]


@dataclass(eq=False, slots=True)
class Channel:
    """Anything that has a channel id: text, voice, stage, forum, category, thread, DM."""

    id: int
    type: ChannelType
    name: str
    guild: Guild | None = None
    parent: "Channel | None" = None
    recipient: User | None = None
    owner_id: int | None = None
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    messages: dict[int, "Message"] = field(default_factory=dict)
    archived: bool = False
    locked: bool = False
    slowmode_seconds: int = 0

    @property
    def is_thread(self) -> bool:
        """Whether permissions are the parent's."""
        return self.type in THREADS


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message, with its bytes."""

    id: int
    filename: str
    content: bytes
    content_type: str
    url: str


@dataclass(frozen=True, slots=True)
class Reference:
    """The message that a reply answers."""

    channel_id: int
    message_id: int


@dataclass(eq=False, slots=True)
class Message:
    """A message; `pinged` is whom it notifies, `webhook_id` is set where no account wrote it."""

    id: int
    channel: Channel
    author: User
    content: str
    created_at: datetime
    type: MessageType = MessageType.DEFAULT
    edited_at: datetime | None = None
    reference: Reference | None = None
    pinged: Pings = NOBODY
    allowed_mentions: Json | None = None
    attachments: Sequence[Attachment] = ()
    embeds: Sequence[Json] = ()
    components: Sequence[Json] = ()
    flags: int = 0
    webhook_id: int | None = None
    nonce: str | None = None
    reactions: dict[str, set[int]] = field(default_factory=dict)
    deleted: bool = False

    @property
    def ephemeral(self) -> bool:
        """Whether only the member who used the command sees it."""
        return bool(self.flags & MessageFlag.EPHEMERAL)

    @property
    def loading(self) -> bool:
        """Whether it still only says that the bot is thinking."""
        return bool(self.flags & MessageFlag.LOADING)
