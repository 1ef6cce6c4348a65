"""What the tests of a running engine share."""

import asyncio
import threading
import time
from dataclasses import dataclass, replace

from bot.dialogue.sampling import SamplingParams
from bot.engine.loader import LoadedModel
from bot.engine.reference import ReferenceEngine
from bot.engine.request import GenerationRequest


@dataclass(frozen=True, slots=True)
class Opened:
    """An engine with its inside and a prompt that it understands."""

    engine: ReferenceEngine
    loaded: LoadedModel
    prompt: tuple[int, ...]


LONG = SamplingParams(max_new_tokens=80, min_new_tokens=16, no_repeat_ngram_size=1, seed=1)
SHORT = replace(LONG, max_new_tokens=8, min_new_tokens=1)


class Gate:
    """Holds every forward pass until it is opened, as a slow device would."""

    def __init__(self, opened: Opened) -> None:
        self.num_passes = 0
        self._loop = asyncio.get_running_loop()
        self._reached = asyncio.Event()
        self._opened = threading.Event()
        opened.loaded.network.register_forward_pre_hook(self._wait)

    def open(self) -> None:
        self._opened.set()

    async def until_reached(self) -> None:
        async with asyncio.timeout(5):
            await self._reached.wait()

    def _wait(self, *_: object) -> None:
        self.num_passes += 1
        self._loop.call_soon_threadsafe(self._reached.set)
        if not self._opened.wait(5):
            raise TimeoutError


def sleep_until(moment: float) -> None:
    time.sleep(max(moment - time.monotonic(), 0) + 0.001)


def start(opened: Opened, **changes: object) -> "asyncio.Task[object]":
    asked = replace(GenerationRequest(opened.prompt, LONG), **changes)  # type: ignore[arg-type]  # a test's keyword arguments
    return asyncio.create_task(opened.engine.generate(asked))
