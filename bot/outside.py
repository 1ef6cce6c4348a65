"""An engine for a simulated world: its work goes on outside, in real time."""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from bot.engine.request import Completion, Engine, EngineInfo, EngineLoad, GenerationRequest

Wait = Callable[[Awaitable[list[Completion]]], Awaitable[list[Completion]]]


class OutsideEngine:
    """An engine whose work the world does not wait for, and which knows the real time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.wait: Wait = _as_it_is  # the world is built around the bot, so its own way comes later

    @property
    def info(self) -> EngineInfo:
        """What is served."""
        return self._engine.info

    def load(self) -> EngineLoad:
        """What is going on now."""
        return self._engine.load()

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """Run `request` outside of the world."""
        # Here time.monotonic() is the world's clock, outside it is the machine's.
        deadline = request.deadline
        seconds = None if deadline is None else deadline - time.monotonic()
        outside = contextvars.Context()
        work = outside.run(asyncio.create_task, self._generate(request, seconds))
        return await self.wait(work)

    def forget(self) -> None:
        """Keep nothing of what was said."""
        self._engine.forget()

    async def close(self) -> None:
        """Leave it to whoever opened the engine."""

    async def _generate(
        self, request: GenerationRequest, seconds: float | None
    ) -> list[Completion]:
        deadline = None if seconds is None else time.monotonic() + seconds
        return await self._engine.generate(replace(request, deadline=deadline))


async def _as_it_is(work: Awaitable[list[Completion]]) -> list[Completion]:
    return await work
