"""Requests to Discord on their way: none is ever cancelled, and typing gives way to the others.

discord.py sleeps inside a request that met a global rate limit and lets all others go on
afterwards: were that request cancelled, they would wait for ever.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import discord

from bot.client.global_limit import GlobalLimit

T = TypeVar("T")
NO_PINGS = discord.AllowedMentions.none()  # said again with everything that goes out
ANSWER_SECONDS = 3.0  # an interaction that is not acknowledged by then is over
CALM_SECONDS = 60.0  # without typing after a global rate limit


class Outgoing:
    """What is on its way to Discord. `clock` gives seconds that never go back."""

    def __init__(self, limit: GlobalLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._requests: set[asyncio.Task[Any]] = set()
        self._num_waiting = 0
        self._interactions: dict[discord.Interaction[Any], float] = {}

    @property
    def may_type(self) -> bool:
        """Whether typing may be shown: nothing that says more waits to be sent."""
        return (
            not self._num_waiting
            and not self._unanswered()
            and self._limit.seconds_since >= CALM_SECONDS
        )

    @property
    def rest_seconds(self) -> float:
        """For how long from now Discord wants no request at all; 0: it takes them."""
        return self._limit.rest_seconds

    async def run(self, request: Coroutine[Any, Any, T]) -> T:
        """The outcome of `request`, which runs to its end where the caller is cancelled."""
        task = asyncio.create_task(request)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        return await asyncio.shield(task)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A reply, a sentence or a removal waits to be sent while the block runs."""
        self._num_waiting += 1
        try:
            yield
        finally:
            self._num_waiting -= 1

    def expect(self, interaction: discord.Interaction[Any]) -> None:
        """An interaction came, and its first answer has to be sent."""
        self._interactions = {**self._unanswered(), interaction: self._clock()}

    def _unanswered(self) -> dict[discord.Interaction[Any], float]:
        """The interactions that may still be acknowledged, and when they came."""
        oldest = self._clock() - ANSWER_SECONDS
        return {
            one: came_at
            for one, came_at in self._interactions.items()
            if came_at > oldest and not one.response.is_done()
        }
