"""What the tests of a running engine share."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from bot.dialogue.sampling import SamplingParams
from bot.engine.batching.engine import LocalEngine
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Gpt2, Piece
from bot.engine.checks import EngineLimits
from bot.engine.protocol import Completion, Engine, GenerationRequest
from bot.engine.reference.engine import ReferenceEngine
from bot.engine.reference.loader import LoadedModel
from tests.engine.slow_letters import SlowLetters


class Opened(Protocol):
    """An engine of either kind on the tiny model, and a prompt that it understands."""

    @property
    def engine(self) -> Engine: ...

    @property
    def prompt(self) -> tuple[int, ...]: ...

    def before_pass(self, look: Callable[..., None]) -> None:
        """Call `look` before every forward pass, in the engine's thread; it may raise."""

    def after_pass(self, change: Callable[[Tensor], None]) -> None:
        """Let `change` see the logits (..., num_ids) of every forward pass, and change them."""

    async def settle(self) -> None:
        """Wait until the engine has nothing left to do."""

    async def until_idle_and_empty(self) -> None:
        """Wait, then check that nothing is left in any account."""


@dataclass(frozen=True, slots=True)
class OpenedReference:
    """Implements Opened with a ReferenceEngine whose network a test may break."""

    engine: ReferenceEngine
    loaded: LoadedModel
    prompt: tuple[int, ...]
    slow: SlowLetters

    def before_pass(self, look: Callable[..., None]) -> None:
        self.loaded.network.register_forward_pre_hook(lambda *_: look())

    def after_pass(self, change: Callable[[Tensor], None]) -> None:
        self.loaded.network.register_forward_hook(lambda _, ids, output: change(output.logits))

    async def settle(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self.engine._thread, lambda: None)

    async def until_idle_and_empty(self) -> None:
        await self.settle()
        assert (self.engine.load().num_waiting, self.engine.load().num_running) == (0, 0)


class Watched(Gpt2):
    """A network whose passes can be watched, spoilt and counted; all in the engine's thread.

    `before(pieces)` may raise; `after(pieces, logits)` may change the logits.
    """

    def __init__(self, network: Gpt2) -> None:
        self.__dict__.update(vars(network))
        self.num_passes = 0
        self.before: list[Callable[[Sequence[Piece]], None]] = []
        self.after: list[Callable[[Sequence[Piece], Tensor], None]] = []

    def forward(self, pieces: Sequence[Piece]) -> Tensor:
        self.num_passes += 1
        for look in self.before:
            look(pieces)
        logits = super().forward(pieces)
        for change in self.after:
            change(pieces, logits)
        return logits


@dataclass(frozen=True, slots=True)
class OpenedLocal:
    """Implements Opened with a LocalEngine whose passes are watched."""

    engine: LocalEngine
    network: Watched
    prompt: tuple[int, ...]

    def before_pass(self, look: Callable[..., None]) -> None:
        self.network.before.append(look)

    def after_pass(self, change: Callable[[Tensor], None]) -> None:
        self.network.after.append(lambda pieces, logits: change(logits))

    async def settle(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self.engine._thread, lambda: None)

    async def until_idle_and_empty(self) -> None:
        await self.settle()
        engine = self.engine
        assert engine._worker.runner is not None
        assert (len(engine._worker.runner.runs), engine._worker.runner.num_bytes) == (0, 0)
        assert (engine.load().num_waiting, engine.load().num_running) == (0, 0)
        assert not engine._worker._line._running
        kept = [
            resident.sequence.num_bytes for resident in engine._worker.prefixes._residents.values()
        ]
        assert engine._worker.prefixes.num_bytes == sum(kept) <= engine._worker.prefixes.max_bytes


def open_local(loaded: LoadedGpt2, limits: EngineLimits | None = None) -> OpenedLocal:
    network = Watched(loaded.network)
    thread = ThreadPoolExecutor(1, "engine", torch.set_num_threads, (1,))
    engine = LocalEngine(replace(loaded, network=network), "tiny", thread, limits or EngineLimits())
    return OpenedLocal(engine, network, tuple(range(1, 14)))


def open_reference(loaded: LoadedModel) -> ReferenceEngine:
    return ReferenceEngine(
        loaded, "tiny", ThreadPoolExecutor(1, "engine", torch.set_num_threads, (1,))
    )


GREEDY = SamplingParams(
    temperature=1.0,
    top_k=1,
    top_p=1.0,
    repetition_penalty=1.0,
    no_repeat_ngram_size=0,
    min_new_tokens=1,
    max_new_tokens=24,
)
FREE = replace(GREEDY, top_k=0, seed=7)
EXACTLY_8 = replace(FREE, min_new_tokens=8, max_new_tokens=8)
LONG = SamplingParams(max_new_tokens=80, min_new_tokens=16, no_repeat_ngram_size=1, seed=1)
SHORT = replace(LONG, max_new_tokens=8, min_new_tokens=1)


class Gate:
    """Holds every forward pass from the `first` on until it is opened, as a slow device would.

    `register` takes what is to be called before a pass.
    """

    def __init__(self, register: Callable[[Callable[..., None]], object], first: int = 1) -> None:
        self.num_passes = 0
        self._first = first
        self._loop = asyncio.get_running_loop()
        self._reached = asyncio.Event()
        self._opened = threading.Event()
        register(self._wait)

    def open(self) -> None:
        self._opened.set()

    async def until_reached(self) -> None:
        async with asyncio.timeout(5):
            await self._reached.wait()

    def _wait(self, *_: object) -> None:
        self.num_passes += 1
        if self.num_passes < self._first:
            return
        self._loop.call_soon_threadsafe(self._reached.set)
        if not self._opened.wait(5):
            raise TimeoutError


def sleep_until(moment: float) -> None:
    time.sleep(max(moment - time.monotonic(), 0) + 0.001)


def engine_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("engine")]


def start(opened: Opened, **changes: object) -> "asyncio.Task[list[Completion]]":
    asked = replace(GenerationRequest(opened.prompt, LONG), **changes)  # type: ignore[arg-type]  # a test's keyword arguments
    return asyncio.create_task(opened.engine.generate(asked))


def fail_with(opened: Opened, errors: list[Exception]) -> None:
    """Every next forward pass raises the next of `errors`, then all is well."""

    def look(*_: object) -> None:
        if errors:
            raise errors.pop(0)

    opened.before_pass(look)


async def outcomes_of(
    *tasks: "asyncio.Task[list[Completion]]",
) -> list[list[Completion] | BaseException]:
    async with asyncio.timeout(20):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def one(opened: Opened, params: SamplingParams, **changes: object) -> Completion:
    asked = replace(GenerationRequest(opened.prompt, params), **changes)  # type: ignore[arg-type]  # a test's keyword arguments
    (completion,) = await opened.engine.generate(asked)
    return completion
