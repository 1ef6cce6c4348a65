"""How many tokens a second an engine makes, over the last seconds."""

import threading
import time
from collections import deque

WINDOW_SECONDS = 10.0


class Pace:
    """A moving rate; any thread may add, any may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: deque[tuple[float, int]] = deque()

    def add(self, num_tokens: int) -> None:
        """Count tokens that were made just now."""
        with self._lock:
            self._steps.append((time.monotonic(), num_tokens))
            self._forget()

    def tokens_per_second(self) -> float:
        """The rate over at most WINDOW_SECONDS; 0 when nothing was made in them."""
        with self._lock:
            self._forget()
            if len(self._steps) < 2:
                return 0.0
            seconds = time.monotonic() - self._steps[0][0]
            return sum(count for _, count in self._steps) / max(seconds, 1e-3)

    def _forget(self) -> None:
        oldest = time.monotonic() - WINDOW_SECONDS
        while self._steps and self._steps[0][0] < oldest:
            self._steps.popleft()
