"""How many tokens a second an engine makes, and how many of a prompt it need not read."""

import threading
import time
from collections import deque

from bot.engine.protocol import NUM_COUNTED

WINDOW_SECONDS = 10.0


class Throughput:
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


class CacheHits:
    """How much of the last NUM_COUNTED prompts was known already; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prompts: deque[tuple[int, int]] = deque(maxlen=NUM_COUNTED)

    def add(self, num_prompt_tokens: int, num_cached_tokens: int) -> None:
        """Count the prompt of a request that begins."""
        with self._lock:
            self._prompts.append((num_prompt_tokens, num_cached_tokens))

    def share(self) -> float | None:
        """The share of their tokens that came from kept prefixes; None before the first."""
        with self._lock:
            num_tokens = sum(tokens for tokens, _ in self._prompts)
            return sum(cached for _, cached in self._prompts) / num_tokens if num_tokens else None
