"""An engine for a simulated world: its work goes on outside, in real time."""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

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
R = TypeVar("R", GenerationRequest, PredictionRequest)


class OutsideEngine(ForwardingEngine):
    """An engine whose work the world does not wait for, and which knows the real time.

    `wait` is how the world waits for work that goes on outside of it: the world is built around
    the bot, so it sets its own way later.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.wait: Callable[[Awaitable[Any]], Awaitable[Any]] = lambda work: work

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """Run `request` outside of the world."""
        work = _in_time(self._engine.generate, request, _seconds_until(request.deadline))
        return await self._outside(work)

    async def score(self, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        """How likely the passages are, found outside of the world."""
        return await self._outside(self._engine.score(passages))

    async def predict(self, request: PredictionRequest) -> Prediction:
        """Go on with a text outside of the world."""
        work = _in_time(self._engine.predict, request, _seconds_until(request.deadline))
        return await self._outside(work)

    async def close(self) -> None:
        """Leave the engine open: what opened it closes it."""

    async def _outside(self, work: Coroutine[Any, Any, T]) -> T:
        outcome: T = await self.wait(contextvars.Context().run(asyncio.create_task, work))
        return outcome


# In the world time.monotonic() is its own clock, outside of it the machine's.
def _seconds_until(moment: float | None) -> float | None:
    return None if moment is None else moment - time.monotonic()


async def _in_time(answer: Callable[[R], Awaitable[T]], request: R, seconds: float | None) -> T:
    """Let the engine `answer` within `seconds` by the machine's clock."""
    deadline = None if seconds is None else time.monotonic() + seconds
    return await answer(replace(request, deadline=deadline))
