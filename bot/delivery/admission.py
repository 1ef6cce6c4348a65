"""Who may take a place in the queue, and how often a member is told that they may not."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from bot.errors import AdmissionError

NOTICE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """`max_queue` places for all, `max_pending` for one member, a cooldown in seconds."""

    max_queue: int
    max_pending: int
    cooldown_seconds: float


class Admission:
    """Bounds the queue: for all members together, for each of them, and over time.

    `clock` gives seconds that never go back.
    """

    def __init__(
        self, limits: AdmissionLimits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._pending: Counter[int] = Counter()
        self._ready_at: dict[int, float] = {}
        self._told_at: dict[int, float] = {}

    def admit(self, author_id: int) -> None:
        """Give `author_id` a place.

        Raises AdmissionError, and then nothing changes.
        """
        now = self._clock()
        if self._pending.total() >= self._limits.max_queue:
            raise AdmissionError(
                "Too many people are talking to me right now, so I missed that: please send it "
                "again in a minute."
            )
        if self._pending[author_id] >= self._limits.max_pending:
            raise AdmissionError(
                "I'm still answering your earlier messages, so I missed that one: please send "
                "it again once you have my replies."
            )
        wait = self._ready_at.get(author_id, now) - now
        if wait > 0:
            raise AdmissionError(
                "One moment, please: I didn't catch that. Send it again in {seconds} s.",
                seconds=ceil(wait),
            )
        self._pending[author_id] += 1
        if self._limits.cooldown_seconds > 0:
            self._ready_at[author_id] = now + self._limits.cooldown_seconds
        _forget_before(self._ready_at, now)

    def readmit(self, author_id: int) -> None:
        """Give a place to a message that was admitted before the bot was restarted."""
        self._pending[author_id] += 1

    def release(self, author_id: int) -> None:
        """Take the place back."""
        self._pending[author_id] -= 1
        if self._pending[author_id] <= 0:
            del self._pending[author_id]

    def may_notify(self, author_id: int) -> bool:
        """Whether to tell `author_id` that a message was not taken: once in NOTICE_SECONDS."""
        now = self._clock()
        _forget_before(self._told_at, now - NOTICE_SECONDS)
        if author_id in self._told_at:
            return False
        self._told_at[author_id] = now
        return True

    @property
    def num_pending(self) -> int:
        """How many places are taken."""
        return self._pending.total()


def _forget_before(moments: dict[int, float], moment: float) -> None:
    """Drop the entries at or before `moment`, so that no member is kept for ever."""
    for author_id in [author for author, at in moments.items() if at <= moment]:
        del moments[author_id]
