"""A supervised engine whose threads a test lets hang, and whose watch looks when the test says."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.dialogue.sampling import SamplingParams
from bot.engine.batching.engine import LocalEngine
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Piece
from bot.engine.checks import EngineLimits
from bot.engine.protocol import Completion, GenerationRequest
from bot.engine.supervision import SupervisedEngine
from bot.engine.thread import EngineThread
from tests.engine.running import SHORT, Watched


class Hang:
    """Stops an engine's thread in every pass, until it is `released`; for ever, if it is not."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reached = asyncio.Event()
        self._released = threading.Event()

    def __call__(self, _: Sequence[Piece]) -> None:
        self._loop.call_soon_threadsafe(self._reached.set)
        self._released.wait()

    def release(self) -> None:
        self._released.set()

    async def until_reached(self) -> None:
        async with asyncio.timeout(5):
            await self._reached.wait()


class Looks:
    """The pauses of a watch: each passes when the test lets it."""

    def __init__(self) -> None:
        self._passes = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        passes = self._passes
        await passes.acquire()

    async def let_pass(self, times: int) -> None:
        """Let so many looks be taken."""
        for _ in range(times):
            self._passes.release()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Let look after look be taken until something is so."""
        async with asyncio.timeout(10):
            while not is_so():
                await self.let_pass(1)


class Opener:
    """Opens engines on one tiny model, each with a network and a thread of its own."""

    def __init__(self, loaded: LoadedGpt2, limits: EngineLimits | None = None) -> None:
        self._loaded = loaded
        self._limits = limits or EngineLimits()
        self.networks: list[Watched] = []
        self.engines: list[LocalEngine] = []
        self._hangs: list[Hang] = []
        self.looks = Looks()
        self.faults: list[Exception] = []  # of the next openings
        self.may_open = asyncio.Event()
        self.may_open.set()

    async def open(self) -> LocalEngine:
        await self.may_open.wait()
        if self.faults:
            raise self.faults.pop(0)
        network = Watched(self._loaded.network)
        self.networks.append(network)
        loaded = replace(self._loaded, network=network)
        self.engines.append(LocalEngine(loaded, "tiny", EngineThread("engine"), self._limits))
        return self.engines[-1]

    def close(self) -> None:
        """Leave no thread; the engines are closed."""
        for hang in self._hangs:
            hang.release()
        for engine in self.engines:
            engine._thread.shutdown()

    async def until_idle(self) -> None:
        """Return when the newest engine's thread has nothing left to do."""
        while self.engines[-1].pulse.is_working:  # noqa: ASYNC110  # there is nothing else to wait for
            await asyncio.sleep(0)

    async def supervised(self) -> SupervisedEngine:
        return SupervisedEngine(await self.open(), self.open, pause=self.looks)

    def hang(self) -> Hang:
        """Let the newest engine hang in its next pass."""
        hang = Hang()
        self._hangs.append(hang)
        self.networks[-1].before.append(hang)
        return hang


def ask(
    engine: SupervisedEngine, params: SamplingParams = SHORT, deadline: float | None = None
) -> "asyncio.Task[list[Completion]]":
    request = GenerationRequest(tuple(range(1, 14)), params, deadline=deadline)
    return asyncio.create_task(engine.generate(request))


async def left_behind(
    opener: Opener, engine: SupervisedEngine
) -> "tuple[Hang, asyncio.Task[list[Completion]]]":
    """A hang that was noticed and the request that met it; the next engine may not open yet."""
    hang = opener.hang()
    first = ask(engine)
    await hang.until_reached()
    opener.may_open.clear()
    await opener.looks.until(first.done)
    return hang, first
