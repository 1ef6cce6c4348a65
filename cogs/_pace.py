"""How often a member may do what costs much."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bot.errors import RefusedError


class Pace:
    """Once in `seconds` for each member. `clock` gives seconds that never go back."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._free_at: dict[int, float] = {}

    @contextmanager
    def once(self, user_id: int) -> Iterator[None]:
        """Do it now; what fails does not count. Raises RefusedError."""
        now = self._clock()
        for other in [one for one, free_at in self._free_at.items() if free_at <= now]:
            del self._free_at[other]
        if user_id in self._free_at:
            raise RefusedError(
                "You've just done that: you can do it again in {seconds} s.",
                seconds=math.ceil(self._free_at[user_id] - now),
            )
        self._free_at[user_id] = now + self._seconds
        try:
            yield
        except BaseException:
            self._free_at.pop(user_id, None)
            raise
