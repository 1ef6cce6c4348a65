"""When Discord last said that the bot as a whole asks for too much: a global 429."""

import math
import time
from collections.abc import Callable
from http import HTTPStatus

import aiohttp


class GlobalLimit:
    """Notes the moment of a global 429. `clock` gives seconds that never go back.

    discord.py waits inside the request that met the limit, and tells its caller nothing of it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._met_at = -math.inf

    @property
    def seconds_since(self) -> float:
        """How long ago the limit was last met; infinity where it never was."""
        return self._clock() - self._met_at

    def look(self, response: aiohttp.ClientResponse, _took_seconds: float) -> None:
        """Look at an answer; see bot.client.http_trace."""
        if response.status == HTTPStatus.TOO_MANY_REQUESTS and _is_global(response):
            self._met_at = self._clock()


def _is_global(response: aiohttp.ClientResponse) -> bool:
    """Whether the limit is not one of a single route; the proxy in front of Discord bans all."""
    headers = response.headers
    return (
        headers.get("X-RateLimit-Scope") == "global"
        or "X-RateLimit-Global" in headers
        or "Via" not in headers
    )
