"""A place in the line of a scope."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.delivery.ports import InboxEntry
from bot.dialogue.turn import Utterance
from bot.engine.protocol import Cancellation


@dataclass(eq=False)
class Ticket:
    """A place in a scope's line.

    `entry` is there when an earlier run, or a lost connection, left the utterance unfinished in
    the inbox; else `recording` is the task that notes the utterance there. `is_repeated`: the
    inbox knew it before, so its reply is cancelled. `is_unclosed`: nothing is left to do, but the
    store could not take it.
    """

    said: Utterance
    entry: InboxEntry | None = None
    recording: asyncio.Task[None] | None = None
    is_repeated: bool = False
    is_unclosed: bool = False
    cancellation: Cancellation = field(default_factory=Cancellation)


async def noted(tickets: Sequence[Ticket]) -> None:
    """Return when the utterances stand in the inbox, or cannot: changes of them come later.

    After an outage Discord sends a message and its edit in one go.
    """
    if recordings := [one.recording for one in tickets if one.recording is not None]:
        await asyncio.wait(recordings)
