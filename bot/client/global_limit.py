"""When Discord said that the bot as a whole asks for too much: a global 429, or a ban."""

import math
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

import aiohttp

LONGEST_WAIT_SECONDS = 60.0  # that discord.py waits for by itself; then it raises RateLimited
LONGEST_REST_SECONDS = 86_400.0  # a day: then one request shows whether it still holds
UNTOLD_SECONDS = 60.0  # of a ban of which Discord's proxy does not tell how long it lasts


class GlobalLimit:
    """Notes a global 429, and how long nothing may be sent. `clock`: seconds that never go back.

    discord.py waits inside the request that met a short limit, and tells its caller nothing of
    it. What it does not wait for counts for every request from then on: a longer limit, and a
    ban of the address by the proxy in front of Discord.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._met_at = -math.inf
        self._rests_until = -math.inf
        self._banned_until = -math.inf

    @property
    def seconds_since(self) -> float:
        """How long ago the limit was last met; infinity where it never was."""
        return self._clock() - self._met_at

    @property
    def rest_seconds(self) -> float:
        """For how long from now no request may be made at all; 0: it may."""
        return max(0.0, self._rests_until - self._clock())

    @property
    def is_banned(self) -> bool:
        """Whether the address is banned, so that no answer to a command gets through either."""
        return self._clock() < self._banned_until

    def look(self, response: aiohttp.ClientResponse, _took_seconds: float) -> None:
        """Look at an answer; see bot.client.http_trace."""
        if response.status != HTTPStatus.TOO_MANY_REQUESTS:
            return
        now, seconds = self._clock(), retry_after(response.headers)
        if _is_ban(response):
            self._met_at = now
            self._banned_until = max(self._banned_until, now + (seconds or UNTOLD_SECONDS))
            self._rests_until = max(self._rests_until, self._banned_until)
        elif _is_global(response):
            self._met_at = now
            if seconds > LONGEST_WAIT_SECONDS:
                self._rests_until = max(self._rests_until, now + seconds)


def retry_after(headers: Mapping[str, str], name: str = "Retry-After") -> float:
    """The seconds that Discord asks to wait, at most a day; 0 where it names none."""
    try:
        return within_a_day(float(headers.get(name, "")))
    except ValueError:
        return 0.0


def within_a_day(seconds: float) -> float:
    """A wait that Discord asked for, within what can be believed."""
    return min(seconds, LONGEST_REST_SECONDS) if seconds > 0 else 0.0


def _is_global(response: aiohttp.ClientResponse) -> bool:
    """Whether the limit is not one of a single route."""
    headers = response.headers
    return headers.get("X-RateLimit-Scope") == "global" or "X-RateLimit-Global" in headers


def _is_ban(response: aiohttp.ClientResponse) -> bool:
    """Whether the proxy in front of Discord bans the address: what discord.py goes by, too."""
    return not response.headers.get("Via") or response.content_type != "application/json"
