"""An engine for a simulated world: its work goes on outside, in real time."""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from bot.engine.forwarding import ForwardingEngine
from bot.engine.protocol import (
    Completion,
    Engine,
    GenerationRequest,
    Passage,
    Prediction,
    PredictionRequest,
)

T = TypeVar("T")


class Wait(Protocol):
    """How the world waits for work that goes on outside of it."""

    def __call__(self, work: Awaitable[T]) -> Awaitable[T]:
        """The outcome of `work`."""
        ...


class OutsideEngine(ForwardingEngine):
    """An engine whose work the world does not wait for, and which knows the real time."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.wait: Wait = _as_it_is  # the world is built around the bot, so its own way comes later

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """Run `request` outside of the world."""
        return await self._outside(self._generate(request, _seconds_until(request.deadline)))

    async def score(self, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        """How likely the passages are, found outside of the world."""
        return await self._outside(self._engine.score(passages))

    async def predict(self, request: PredictionRequest) -> Prediction:
        """Go on with a text outside of the world."""
        return await self._outside(self._predict(request, _seconds_until(request.deadline)))

    async def close(self) -> None:
        """Leave it to whoever opened the engine."""

    async def _outside(self, work: Coroutine[Any, Any, T]) -> T:
        return await self.wait(contextvars.Context().run(asyncio.create_task, work))

    async def _generate(
        self, request: GenerationRequest, seconds: float | None
    ) -> list[Completion]:
        return await self._engine.generate(replace(request, deadline=_moment_in(seconds)))

    async def _predict(self, request: PredictionRequest, seconds: float | None) -> Prediction:
        return await self._engine.predict(replace(request, deadline=_moment_in(seconds)))


# In the world time.monotonic() is its own clock, outside of it the machine's.
def _seconds_until(moment: float | None) -> float | None:
    return None if moment is None else moment - time.monotonic()


def _moment_in(seconds: float | None) -> float | None:
    return None if seconds is None else time.monotonic() + seconds


async def _as_it_is(work: Awaitable[T]) -> T:
    return await work
