"""The steps of a dialogue: frozen data, and nothing that acts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """Who speaks in a turn."""

    USER = "user"
    BOT = "bot"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose history: a channel, thread or DM, optionally one member in it."""

    channel_id: int
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a member just said to us: mention removed, not yet remembered.

    `guild_id` is None in a DM. `parent_channel_id` is the channel a thread hangs on.
    `reply_to_id` is the message that the member replied to. `created_at` is in UTC.
    """

    message_id: int
    scope: Scope
    author_id: int
    text: str
    created_at: datetime
    guild_id: int | None = None
    parent_channel_id: int | None = None
    reply_to_id: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One remembered step of a dialogue; it knows its parent turn, so history is a tree.

    A turn that was deleted or erased keeps its place with an empty `text`.
    `context_start_id` (bot turns) is the oldest turn that the prompt of this turn held.
    """

    turn_id: int
    scope: Scope
    parent_id: int | None
    role: Role
    text: str
    author_id: int | None
    epoch: int
    created_at: datetime
    context_start_id: int | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A user turn and the bot turn that answers it."""

    user: Turn
    bot: Turn
