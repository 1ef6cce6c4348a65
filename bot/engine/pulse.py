"""The sign of life of an engine's thread: written there, read by the task that watches it.

No torch here.
"""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import Protocol

from bot.engine.protocol import Engine

# A round is what a thread does between two ticks. Of one like which none was seen yet: 512 tokens
# of a prompt take a large model on an old processor 10 s and more, on a busy one much more.
UNKNOWN_SECONDS = 60.0
LEAST_SECONDS = 10.0  # rounds of 50 ms, and what a busy machine or swapping makes of them
TIMES_EXPECTED = 6.0
NUM_LINES = 8  # of the place where a thread hangs


class Pulse:
    """Ticks while an engine's thread has work; still for too long, it hangs.

    The patience grows with what a round is expected to take: its tokens, at the best rate that
    was seen (many at once are faster than one, so one alone says too much, never too little),
    and not less than the longest round until now. `clock` tells seconds. A round that took more
    than its patience and was not found to hang was stopped together with the watch, as a paused
    container is: the rest says nothing of the machine.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.num_ticks = 0
        self.is_working = False
        self.has_ended = False  # the thread will do nothing any more
        self._clock = clock
        self._longest_seconds = 0.0
        self._token_seconds = inf
        self._num_tokens: int | None = None
        self._began_at: float | None = None
        self._thread_id: int | None = None

    def wake(self) -> None:
        """There is work; from any thread, before the engine's begins with it."""
        self.is_working = True

    def tick(self, num_tokens: int | None = 0) -> None:
        """A round begins, and the last one has ended; in the engine's thread.

        `num_tokens` go through the network in it; None: that is not known.
        """
        now = self._clock()
        if self._began_at is not None:
            seconds = min(now - self._began_at, self.patience_seconds)
            self._longest_seconds = max(self._longest_seconds, seconds)
            if self._num_tokens:
                self._token_seconds = min(self._token_seconds, seconds / self._num_tokens)
        self._began_at, self._num_tokens = now, num_tokens
        self._thread_id = threading.get_ident()
        self.num_ticks += 1

    def miss(self) -> None:
        """The round did not come to its tokens: how long it took says nothing of them."""
        self._num_tokens = None

    def idle(self) -> None:
        """Nothing is left to do; in the engine's thread."""
        self.tick()
        self._began_at = None
        self.is_working = False

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work of unknown length; in the engine's thread."""
        self.wake()
        self.tick(None)
        try:
            yield
        finally:
            self.idle()

    def end(self) -> None:
        """The thread ends though there is work."""
        self.has_ended = True

    @property
    def patience_seconds(self) -> float:
        """How long the round that runs now may take."""
        known = TIMES_EXPECTED * self._longest_seconds
        expected = UNKNOWN_SECONDS
        if self._num_tokens is not None and self._num_tokens * self._token_seconds < inf:
            expected = TIMES_EXPECTED * self._num_tokens * self._token_seconds
        return max(LEAST_SECONDS, known, min(expected, UNKNOWN_SECONDS))

    def where(self) -> str:
        """Which lines the thread is at, for the log; they hold nothing that was said."""
        frame = sys._current_frames().get(self._thread_id or 0)  # noqa: SLF001 - documented, whatever its name
        if frame is None:
            return "(no thread)"
        return "".join(traceback.format_stack(frame, NUM_LINES)).rstrip()


class WatchableEngine(Engine, Protocol):
    """An engine that shows whether its thread lives."""

    @property
    def pulse(self) -> Pulse:
        """The sign of life of its thread."""
        ...
