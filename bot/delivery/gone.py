"""What went of late: a look back that read it before must not bring it back."""

from collections import deque
from collections.abc import Callable, Collection
from datetime import datetime

from bot.delivery.clocks import Clock, utc_now
from bot.dialogue.turn import Utterance

NUM_KEPT = 1024  # a look back takes seconds

IsTheirs = Callable[[Utterance], bool]


class LatelyGone:
    """Deleted messages, and what was forgotten of a member, a channel or a server, with when."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._messages: deque[Collection[int]] = deque(maxlen=NUM_KEPT)
        self._forgotten: deque[tuple[datetime, IsTheirs]] = deque(maxlen=NUM_KEPT)

    def note_messages(self, message_ids: Collection[int]) -> None:
        """These messages are deleted, or may not be read any more."""
        self._messages.append(message_ids)

    def note(self, is_theirs: IsTheirs) -> None:
        """Everything up to now for which `is_theirs` is true is forgotten."""
        self._forgotten.append((self._clock(), is_theirs))

    def holds(self, said: Utterance) -> bool:
        """Whether `said` went."""
        return any(said.message_id in ids for ids in self._messages) or any(
            said.created_at <= moment and is_theirs(said) for moment, is_theirs in self._forgotten
        )
