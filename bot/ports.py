"""What conversation and delivery need of the rooms below and beside them, as Protocols."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from bot.dialogue.prompt import Tokenizer
from bot.dialogue.sampling import Layer, Number, Overrides, Place, SamplingParams
from bot.dialogue.turn import Exchange, Scope, Turn, Utterance
from bot.errors import ChatError

T = TypeVar("T")
Scores = Mapping[str, float | str]  # of a candidate, by name; ready for JSON, never words


@dataclass(frozen=True, slots=True)
class Head:
    """Where a scope stands: its newest turn, and how often it was reset."""

    turn_id: int | None = None
    epoch: int = 0
    last_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a scope stands, the path of its head, and what is set at its place."""

    head: Head
    turns: tuple[Turn, ...] = ()
    overrides: Overrides = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A candidate that was not chosen, with its scores (for example its fault)."""

    text: str
    scores: Scores


@dataclass(frozen=True, slots=True)
class Draft:
    """An exchange that is not remembered yet, with everything its two turns will hold.

    `context_start_id` None: the prompt began with the utterance itself.
    `num_tokens` is (of the utterance, of the reply), counted by `tokenizer`.
    `scores` are the reply's own, `rejected` what was not chosen.
    """

    said: Utterance
    parent_id: int | None
    text: str
    num_tokens: tuple[int, int]
    tokenizer: str
    context_start_id: int | None
    num_prompt_tokens: int
    model: str
    revision: str
    params: SamplingParams
    seed: int
    finish_reason: str
    latency_ms: int
    rejected: tuple[Rejected, ...] = ()
    scores: Scores = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScopeStatus:
    """What the newest reply of a scope was made of, for `/status`.

    `num_turns` counts the turns from where its prompt began up to itself; 0 and None after a
    reset.
    """

    num_turns: int
    num_prompt_tokens: int | None
    context_start_at: datetime | None


class HistoryStore(Protocol):
    """The tree of turns. Every method raises StoreUnavailableError when the database is away."""

    async def head(self, scope: Scope) -> Head:
        """Where `scope` stands; a scope that nobody used yet has an empty Head."""
        ...

    async def standing(self, scope: Scope, place: Place, num_turns: int) -> Standing:
        """What a reply in `scope` begins with: in one read, since every reply waits for it."""
        ...

    async def turn_of_message(self, message_id: int) -> Turn | None:
        """The turn that a Discord message holds (the bot's or a member's), or None."""
        ...

    async def path(self, turn_id: int, num_turns: int) -> list[Turn]:
        """The turn and its ancestors, at most `num_turns` of them, oldest first.

        Blank ones are left out. The cost is O(num_turns), however long the history is.
        """
        ...

    async def remember(self, draft: Draft, expected: Head) -> Exchange:
        """Store an exchange, its candidates and the inbox row's next state in one transaction.

        Raises ScopeMovedError if the scope's head or epoch is not `expected` any more.
        """
        ...

    async def reset(self, scope: Scope) -> None:
        """Add one to the scope's epoch and empty its head."""
        ...

    async def revise(self, message_id: int, text: str) -> bool:
        """Replace the text of the user turn of an edited message; whether there is one."""
        ...

    async def withdraw(self, message_ids: Sequence[int]) -> bool:
        """Blank the turns of deleted messages, a member's or the bot's; whether we knew any."""
        ...

    async def status(self, scope: Scope) -> ScopeStatus:
        """What the newest reply of `scope` was made of."""
        ...


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """An inbox row that was not finished when the bot stopped.

    `reply_text` and `reply_turn_id` are there when the reply was already made.
    `sent_ids` are the messages of the parts that went out.
    """

    said: Utterance
    reply_text: str | None
    reply_turn_id: int | None
    sent_ids: tuple[int, ...]
    attempts: int


class InboxStore(Protocol):
    """Utterances on their way, so that each is answered exactly once."""

    async def record(self, said: Utterance) -> bool:
        """Note a new utterance as pending; False when its message id is known already."""
        ...

    async def record_part(self, message_id: int, part: int, sent_id: int) -> None:
        """Note that part `part` (from 0) of the reply went out as message `sent_id`."""
        ...

    async def close(self, message_id: int) -> None:
        """The row is done, answered or not: its text goes, its message id stays known."""
        ...

    async def unfinished(self) -> list[InboxEntry]:
        """The rows that are not done, oldest first; adds one to the attempts of each."""
        ...


class SamplingStore(Protocol):
    """Overrides of SamplingParams by layer."""

    async def overrides(self, place: Place) -> Overrides:
        """What is set at `place`, by layer."""
        ...

    async def save(self, layer: Layer, place: Place, values: Mapping[str, Number]) -> None:
        """Set `values` in `layer` at `place`; what is not named stays as it is."""
        ...

    async def clear(self, layer: Layer, place: Place) -> None:
        """Remove everything that is set in `layer` at `place`."""
        ...


class ServerStore(Protocol):
    """What is kept for a server, and the language of a member."""

    async def setting(self, guild_id: int, name: str) -> str | None:
        """A stored value; guild 0 stands for the bot itself."""
        ...

    async def save_setting(self, guild_id: int, name: str, value: str) -> None:
        """Store a value."""
        ...

    async def locale(self, user_id: int) -> str | None:
        """The locale that Discord last told us of a member."""
        ...

    async def save_locale(self, user_id: int, locale: str) -> None:
        """Remember a member's locale; writes only when it changed."""
        ...

    async def servers(self) -> list[int]:
        """The ids of all servers of which something is kept."""
        ...

    async def purge_server(self, guild_id: int, channel_ids: Sequence[int]) -> None:
        """Delete all that is kept of a server that the bot left, with its channels' history."""
        ...

    async def purge_channel(self, channel_id: int) -> None:
        """Delete all that is kept of a channel or thread that is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure removed."""

    num_turns: int
    num_overrides: int


class PrivacyStore(Protocol):
    """A member's own data."""

    async def export(self, user_id: int) -> Mapping[str, object]:
        """Everything that is stored of a member, ready for JSON."""
        ...

    async def erase(self, user_id: int) -> Erased:
        """Remove everything of a member so that no byte of their words is left on the disk.

        Their turns and the bot's answers to them, candidates, inbox rows, overrides, locale and
        the backup; then the write-ahead log is truncated.
        """
        ...


class TokenizerThread(Protocol):
    """A tokenizer with a thread of its own: encoding is work, and no tokenizer is shared."""

    async def run(self, work: Callable[[Tokenizer], T]) -> T:
        """Run `work` with the tokenizer in its thread and return the result."""
        ...

    async def close(self) -> None:
        """End the thread; may be called twice."""
        ...


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
    """The connection or Discord failed: the same part, with the same nonce, may be tried again."""


class Courier(Protocol):
    """Carries replies to Discord; the chat cog is one."""

    async def send(self, part: Part) -> int:
        """Send `part` and return the message's id; raises a SendError.

        Where Discord answers a repeated nonce with an older message of another text, that
        message is edited.
        """
        ...

    async def sentence(self, said: Utterance, error: ChatError) -> str:
        """The error's sentence in the language of the author of `said`."""
        ...

    async def sent_parts(self, said: Utterance) -> list[int]:
        """The ids of our messages in the channel that answer `said`, oldest first."""
        ...

    def typing(self, channel_id: int) -> AbstractAsyncContextManager[None]:
        """Show that the bot is typing; never raises."""
        ...
