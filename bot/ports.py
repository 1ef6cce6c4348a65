"""What the client and the cogs need of the store beyond the conversation, as Protocols."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

BOT_ITSELF = 0  # the guild id under which ServerStore keeps what belongs to no server


@dataclass(frozen=True, slots=True)
class KeptChannel:
    """A channel or thread of a server, of which something is kept.

    `parent_id` is the channel that a thread hangs on; 0: it is no thread; None: not known.
    """

    channel_id: int
    guild_id: int
    parent_id: int | None


class ServerStore(Protocol):
    """What is kept for a server, and the language of a member."""

    async def setting(self, guild_id: int, name: str) -> str | None:
        """A stored value; None where there is none."""

    async def save_setting(self, guild_id: int, name: str, value: str) -> None:
        """Store a value."""

    async def locale(self, user_id: int) -> str | None:
        """The locale that Discord last told us of a member."""

    async def save_locale(self, user_id: int, locale: str) -> None:
        """Remember a member's locale; writes only when it changed."""

    async def servers(self) -> list[int]:
        """The ids of all servers of which something is kept."""

    async def purge_server(self, guild_id: int, channel_ids: Sequence[int]) -> None:
        """Delete all that is kept of a server that the bot left, with its channels' history."""

    async def purge_channel(self, channel_id: int) -> None:
        """Delete all that is kept of a channel that is gone, with its threads, or of a thread."""

    async def channels(self) -> list[KeptChannel]:
        """The channels and threads of servers of which something is kept."""

    async def save_parent(self, channel_id: int, parent_id: int) -> None:
        """Store which channel a thread hangs on, where that is not known; 0: it is no thread."""


class Lease(Protocol):
    """What lets one process at a time answer for a database."""

    async def acquire(self, application_id: int) -> None:
        """Take the database for an application; raises a StartError where another one has it."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure removed."""

    num_turns: int
    num_overrides: int


class PrivacyStore(Protocol):
    """A member's own data."""

    async def export(self, user_id: int) -> Mapping[str, object]:
        """Everything that is stored of a member, ready for JSON."""

    async def erase(self, user_id: int) -> Erased:
        """Remove everything of a member so that no byte of their words is left on the disk.

        Their turns and the bot's answers to them, candidates, inbox rows, overrides, locale and
        the backup; then the write-ahead log is truncated.
        """
