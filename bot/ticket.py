"""A place in the line of a scope."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.dialogue.turn import Utterance
from bot.engine.request import Cancellation
from bot.ports import InboxEntry


@dataclass(eq=False)
class Ticket:
    """A place in a scope's line. `recording` notes the utterance in the inbox.

    `entry` is there when an earlier run, or a lost connection, left the utterance unfinished.
    """

    said: Utterance
    recording: asyncio.Future[bool]
    entry: InboxEntry | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)


async def noted(tickets: Sequence[Ticket]) -> None:
    """Return when the utterances stand in the inbox, or cannot: changes of them come later.

    After an outage Discord sends a message and its edit in one go.
    """
    if tickets:
        await asyncio.wait([ticket.recording for ticket in tickets])
