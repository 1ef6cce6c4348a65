"""Channels that are left alone for a while, and for how long still."""

from collections.abc import Callable


class Rests:
    """Channels that rest, each until a moment of `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[int, float] = {}

    def add(self, channel_id: int, seconds: float) -> None:
        """Let a channel rest for so long from now; a longer rest stays."""
        now = self._clock()
        self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[channel_id] = max(now + seconds, self._until.get(channel_id, now))

    def seconds_left(self, channel_id: int) -> float:
        """How long a channel still rests; 0: it does not."""
        now = self._clock()
        return max(0.0, self._until.get(channel_id, now) - now)
