"""Whether what waits to be sent gets out to Discord."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from types import SimpleNamespace

import aiohttp

from bot.client.global_limit import LONGEST_WAIT_SECONDS, retry_after

# Answers to commands go another way: they pass although all else stands still.
OTHER_WAYS = ("/interactions/", "/webhooks/")


class WayOut:
    """What waits to be sent, and when a request last ended. `clock`: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[object, float] = {}  # of what waits, oldest first
        self._ended_at = -math.inf

    @property
    def num_waiting(self) -> int:
        """How many messages and removals wait, or are on their way."""
        return len(self._since)

    @property
    def stuck_seconds(self) -> float:
        """For how long something has waited, and no request ended; 0 where nothing waits."""
        oldest = next(iter(self._since.values()), math.inf)
        return max(0.0, self._clock() - max(oldest, self._ended_at))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Something that may be sent now waits, or is on its way, while the block runs."""
        waiting = object()
        self._since[waiting] = self._clock()
        try:
            yield
        finally:
            del self._since[waiting]

    def note_end(self, silent_seconds: float = 0.0) -> None:
        """A request ended, well or not; discord.py may be silent for a while by Discord's word."""
        self._ended_at = max(self._ended_at, self._clock() + silent_seconds)

    def watch(self, trace: aiohttp.TraceConfig) -> aiohttp.TraceConfig:
        """Note the ends of a client's requests through its `http_trace`, which comes back."""
        trace.on_request_end.append(self._look)
        trace.on_request_exception.append(self._look_at_failure)
        return trace

    async def _look(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        request: aiohttp.TraceRequestEndParams,
    ) -> None:
        if not _goes_another_way(request.url.path):
            self.note_end(min(_silent_seconds(request.response), LONGEST_WAIT_SECONDS))

    async def _look_at_failure(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        request: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        if not _goes_another_way(request.url.path):
            self.note_end()


def _goes_another_way(path: str) -> bool:
    return any(part in path for part in OTHER_WAYS)


def _silent_seconds(response: aiohttp.ClientResponse) -> float:
    """How long discord.py waits by itself before the next request of this kind."""
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return retry_after(response.headers)
    if response.headers.get("X-RateLimit-Remaining") == "0":
        return retry_after(response.headers, "X-RateLimit-Reset-After")
    return 0.0
