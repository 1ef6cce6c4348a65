"""A place in the line of a scope."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.delivery.ports import InboxEntry
from bot.dialogue.turn import Utterance
from bot.engine.protocol import Cancellation


@dataclass(eq=False)
class Ticket:
    """A place in a scope's line. `recording` notes the utterance in the inbox.

    A reply to what the inbox knew before is cancelled.
    `entry` is there when an earlier run, or a lost connection, left the utterance unfinished.
    """

    said: Utterance
    recording: asyncio.Future[bool]
    entry: InboxEntry | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)

    def __post_init__(self) -> None:
        self.recording.add_done_callback(self._heed)

    @property
    def is_repeated(self) -> bool:
        """Whether the inbox knew the utterance before."""
        recording = self.recording
        if not recording.done() or recording.cancelled() or recording.exception() is not None:
            return False
        return not recording.result()

    def _heed(self, _recording: asyncio.Future[bool]) -> None:
        if self.is_repeated:
            self.cancellation.cancel()


def left_over(entry: InboxEntry) -> Ticket:
    """The ticket of what an earlier run left in the inbox."""
    recording: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    recording.set_result(True)
    return Ticket(entry.said, recording, entry)


async def noted(tickets: Sequence[Ticket]) -> None:
    """Return when the utterances stand in the inbox, or cannot: changes of them come later.

    After an outage Discord sends a message and its edit in one go.
    """
    if tickets:
        await asyncio.wait([ticket.recording for ticket in tickets])
