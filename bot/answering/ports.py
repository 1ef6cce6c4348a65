"""What answering needs of the store: two Protocols, and the data that go through them.

The data also go on from here: the terminal shows a Draft, `/status` a ScopeStatus.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bot.dialogue.sampling import Layer, Number, Overrides, Place, SamplingParams
from bot.dialogue.turn import Exchange, Scope, Turn, Utterance

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

    `made_of_ids`: of the turns that were read for it, none of which may be blank when it is stored.
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
    made_of_ids: tuple[int, ...] = ()


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
        """Where `scope` stands; a scope that was never used has an empty Head."""

    async def standing(self, scope: Scope, place: Place, num_turns: int) -> Standing:
        """What a reply in `scope` begins with: in one read, since every reply waits for it."""

    async def turn_of_message(self, message_id: int) -> Turn | None:
        """The turn that a Discord message holds (the bot's or a member's), or None."""

    async def path(self, turn_id: int, num_turns: int) -> list[Turn]:
        """The turn and its ancestors, at most `num_turns` of them, oldest first.

        Blank ones are left out. The cost is O(num_turns), however long the history is.
        """

    async def num_replies(self, turn_id: int) -> int:
        """How many of the bot's turns the path to the turn has, the turn and blank ones counted.

        The cost grows with the path; it is asked only where a seed is set.
        """

    async def remember(self, draft: Draft, expected: Head) -> Exchange:
        """Store an exchange, its candidates and the inbox row's next state in one transaction.

        Raises ScopeMovedError if the scope's head or epoch is not `expected` any more, or words
        that the reply was made of are gone.
        """

    async def reset(self, scope: Scope) -> None:
        """Add one to the scope's epoch and empty its head."""

    async def revise(self, message_id: int, text: str) -> bool:
        """Replace the text of the user turn of an edited message; whether there is one."""

    async def withdraw(self, message_ids: Sequence[int]) -> bool:
        """Blank the turns of deleted messages, a member's or the bot's; whether we knew any."""

    async def status(self, scope: Scope) -> ScopeStatus:
        """What the newest reply of `scope` was made of."""


class SamplingStore(Protocol):
    """Overrides of SamplingParams by layer."""

    async def overrides(self, place: Place) -> Overrides:
        """What is set at `place`, by layer."""

    async def save(self, layer: Layer, place: Place, values: Mapping[str, Number]) -> None:
        """Set `values` in `layer` at `place`; what is not named stays as it is."""

    async def clear(self, layer: Layer, place: Place) -> None:
        """Remove everything that is set in `layer` at `place`."""
