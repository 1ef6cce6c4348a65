"""Waiting for something to become true, without sleeping."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Watch:
    """Wakes those who wait whenever anything on the server has changed."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def changed(self) -> None:
        """Let everybody look again."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def until(
        self, found: Callable[[], T | None], *, timeout: float = 10.0, what: str = "a change"
    ) -> T:
        """The first true value of `found()`; AssertionError after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while not (value := found()):
                    future = asyncio.get_running_loop().create_future()
                    self._waiting.append(future)
                    await future
        except TimeoutError:
            raise AssertionError(f"waited {timeout} s in vain for {what}") from None
        return value
