"""What delivery needs of the store (an inbox, notes) and of Discord (a courier), as Protocols.

With the data that go through them, and the ways in which sending can fail.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from bot.dialogue.turn import Utterance
from bot.errors import ChatError


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """An inbox row that was not finished when the bot stopped.

    `reply_text` and `reply_turn_id` are there when the reply was already made.
    `sent_ids` are the messages of the parts that went out. Discord takes nothing in the channel
    before `not_before`, where that is set.
    """

    said: Utterance
    reply_text: str | None
    reply_turn_id: int | None
    sent_ids: tuple[int, ...]
    attempts: int
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spot:
    """A channel, thread or DM that was spoken in; `guild_id` is None in a DM."""

    channel_id: int
    guild_id: int | None


class InboxStore(Protocol):
    """Utterances on their way, so that each is answered exactly once."""

    async def record(self, said: Utterance) -> bool:
        """Note a new utterance as pending; False when its message id is known already."""

    async def record_part(self, message_id: int, part: int, sent_id: int) -> None:
        """Note that part `part` (from 0) of the reply went out as message `sent_id`."""

    async def postpone(self, message_id: int, not_before: datetime) -> bool:
        """Note that Discord takes nothing before; whether there is a row that is not done."""

    async def close(self, message_id: int) -> None:
        """The row is done, answered or not: its text goes, its message id stays known."""

    async def mark(self, passed_over: Sequence[Utterance]) -> None:
        """Note messages that are not answered: ids alone, so that no look back takes them in."""

    async def known(self, message_ids: Sequence[int]) -> set[int]:
        """Those of these messages that were noted, marked, remembered or answered before."""

    async def spoken_in(self, limit: int) -> list[Spot]:
        """Where the bot was spoken to, at most `limit` places, those of lately first."""

    async def unfinished(self, *, is_start: bool = True) -> list[InboxEntry]:
        """The rows that are not done, oldest first.

        At a start one is added to the attempts of each that may be tried now.
        """


class FactKind(StrEnum):
    """What has happened to a message, a channel or a server on Discord."""

    WITHDRAW = "withdraw"  # a message was deleted, or may not be read any more
    REVISE = "revise"  # a message was edited
    PURGE_CHANNEL = "channel"  # a channel or thread is gone
    PURGE_SERVER = "server"  # the bot is in a server no longer


@dataclass(frozen=True, slots=True)
class Fact:
    """What Discord reports once. An edit has its new `text`, a server its `channel_ids`."""

    kind: FactKind
    subject_id: int
    text: str = field(default="", repr=False)  # of a member: never in a log
    channel_ids: tuple[int, ...] = ()

    @property
    def subject(self) -> tuple[FactKind, int]:
        """What it is about: of two facts about one message the newer one counts."""
        is_edit = self.kind is FactKind.REVISE
        return FactKind.WITHDRAW if is_edit else self.kind, self.subject_id


class FactStore(Protocol):
    """Where facts are noted for the next start, apart from the database. It may block."""

    def read(self) -> list[Fact]:
        """The facts that an earlier run noted."""

    def write(self, facts: Sequence[Fact]) -> None:
        """Note `facts` in the place of the earlier ones; raises OSError."""


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a reply: `number` counts from 0, `nonce` makes a second send harmless."""

    channel_id: int
    reply_to_id: int
    number: int
    text: str
    nonce: str


class SendError(Exception):
    """A part could not be sent."""


class MessageGoneError(SendError):
    """The message that we answer, or its channel, is gone: the reply is dropped quietly."""


class SendRefusedError(SendError):
    """Discord refuses this message for good: no permission, blocked, archived."""


class SendTroubleError(SendError):
    """The connection or Discord failed: the same part, with the same nonce, may be tried again.

    Not before `wait_seconds` have passed, where Discord said so.
    """

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class Courier(Protocol):
    """Carries replies to Discord; the chat cog is one."""

    async def send(self, part: Part) -> int:
        """Send `part` and return the message's id; raises a SendError.

        Where Discord answers a repeated nonce with an older message of another text, that
        message is edited.
        """

    async def sentence(self, said: Utterance, error: ChatError) -> str:
        """The error's sentence in the language of the author of `said`."""

    async def sent_parts(self, said: Utterance) -> list[int]:
        """The ids of our messages in the channel that answer `said`, oldest first."""

    def rest(self, channel_id: int, seconds: float) -> None:
        """Leave a channel alone for so long: Discord said so to an earlier run."""

    def typing(self, channel_id: int) -> AbstractAsyncContextManager[None]:
        """Show that the bot is typing; never raises."""
