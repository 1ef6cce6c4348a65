"""The server's own time, and the ids that are made from it."""

import time
from datetime import UTC, datetime

DISCORD_EPOCH_MS = 1_420_070_400_000
_BITS_BELOW_TIME = 22


class Clock:
    """Real time plus what a test has added, so that nobody waits for a limit to pass."""

    def __init__(self) -> None:
        self._ahead_seconds = 0.0

    def now(self) -> float:
        """Seconds since 1970 as this server sees them."""
        return time.time() + self._ahead_seconds

    def moment(self, *, seconds_ago: float = 0.0) -> datetime:
        """The same as an aware datetime."""
        return datetime.fromtimestamp(self.now() - seconds_ago, UTC)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass for the server alone."""
        self._ahead_seconds += seconds


class Snowflakes:
    """Ids that grow with the clock and never repeat, as Discord makes them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._backdated: set[int] = set()

    def next(self, *, seconds_ago: float = 0.0) -> int:
        """A fresh id; one from the past is only unique, not the largest so far."""
        made_ms = int((self._clock.now() - seconds_ago) * 1000) - DISCORD_EPOCH_MS
        first = made_ms << _BITS_BELOW_TIME
        if seconds_ago:
            while first in self._backdated:
                first += 1
            self._backdated.add(first)
            return first
        self._last = max(self._last + 1, first)
        return self._last
