"""Requests to Discord on their way: none is ever cancelled, and typing gives way to the others.

discord.py sleeps inside a request that met a global rate limit and lets all others go on
afterwards: were that request cancelled, they would wait for ever.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import aiohttp
import discord

from bot.client.global_limit import GlobalLimit
from bot.client.way_out import WayOut

T = TypeVar("T")
logger = logging.getLogger(__name__)
NO_PINGS = discord.AllowedMentions.none()  # said again with everything that goes out
# Of a request: a RuntimeError is what aiohttp raises once its session is closed.
ANY_FAILURE = (discord.DiscordException, aiohttp.ClientError, OSError, RuntimeError)
# What Discord says of a place that the bot cannot see, or that is gone.
REFUSALS = (discord.NotFound, discord.Forbidden, discord.InvalidData)
ANSWER_SECONDS = 3.0  # an interaction that is not acknowledged by then is over
CALM_SECONDS = 60.0  # without typing after a global rate limit


class Outgoing:
    """What is on its way to Discord. `clock` gives seconds that never go back."""

    def __init__(
        self, limit: GlobalLimit, way_out: WayOut, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._way_out = way_out
        self._clock = clock
        self._requests: set[asyncio.Task[Any]] = set()
        self._interactions: dict[discord.Interaction[Any], float] = {}

    @property
    def may_type(self) -> bool:
        """Whether typing may be shown: nothing that says more waits to be sent."""
        return (
            not self._way_out.num_waiting
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
        task.add_done_callback(self._note_end)
        return await asyncio.shield(task)

    async def ask(self, request: Coroutine[Any, Any, T]) -> T:
        """The same for what can wait; raises RateLimited where Discord wants no request now."""
        if seconds := self.rest_seconds:
            request.close()
            raise discord.RateLimited(seconds)
        return await self.run(request)

    def waiting(self) -> AbstractContextManager[None]:
        """A reply, a sentence or a removal waits to be sent while the block runs."""
        return self._way_out.waiting()

    def expect(self, interaction: discord.Interaction[Any]) -> None:
        """An interaction came, and its first answer has to be sent."""
        self._interactions = {**self._unanswered(), interaction: self._clock()}

    def _note_end(self, request: asyncio.Task[Any]) -> None:
        """Keep a request no longer; a failure that no caller waits for any more is seen here."""
        self._requests.discard(request)
        if not request.cancelled() and (failure := request.exception()) is not None:
            logger.debug("A request failed: %s", failure)

    def _unanswered(self) -> dict[discord.Interaction[Any], float]:
        """The interactions that may still be acknowledged, and when they came."""
        oldest = self._clock() - ANSWER_SECONDS
        return {
            one: came_at
            for one, came_at in self._interactions.items()
            if came_at > oldest and not one.response.is_done()
        }
