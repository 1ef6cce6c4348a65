"""An engine that is opened again when its thread hangs or has ended.

Python cannot end a thread: a hung one is left behind, with its model, until it goes on by itself
or the bot ends. Nothing in the same process can notice a thread that also keeps Python's lock.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bot.engine.protocol import (
    Completion,
    EngineInfo,
    EngineLoad,
    GenerationRequest,
    Passage,
    Prediction,
    PredictionRequest,
)
from bot.engine.pulse import Pulse, WatchableEngine
from bot.errors import (
    DeadlineError,
    EngineBrokenError,
    EngineClosedError,
    EngineError,
    EngineStuckError,
)

T = TypeVar("T")
Open = Callable[[], Awaitable[WatchableEngine]]
Pause = Callable[[float], Awaitable[None]]
logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
CLOSE_SECONDS = 5.0  # for the running step: a stopping bot has no time for more
OPEN_SECONDS = 300.0  # a disk that is gone hangs as well
# An engine that hangs again and again hangs over no single request, and may leave its weights in
# memory each time: a fresh start of the whole bot does more then.
MOST_REBUILDS = 3
REBUILDS_SECONDS = 600.0


class _OpenEngine:
    """An engine from its opening to its end, and the calls that wait for it."""

    def __init__(self, engine: WatchableEngine) -> None:
        self.engine = engine
        self._limits: set[asyncio.Timeout] = set()
        self._reason: type[EngineError] = EngineClosedError

    async def ask(self, question: Callable[[WatchableEngine], Awaitable[T]]) -> T:
        """The answer to `question`, or what `end` was told."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limits.add(limit)
                return await question(self.engine)
        except TimeoutError:
            if limit.expired():
                raise self._reason from None
            raise
        finally:
            self._limits.discard(limit)

    def end(self, reason: type[EngineError]) -> None:
        """Answer every call that waits with `reason`."""
        self._reason = reason
        limits, self._limits = self._limits, set()
        for limit in limits:
            limit.reschedule(asyncio.get_running_loop().time())


class SupervisedEngine:
    """Implements bot.engine.protocol.Engine with one that is replaced when its thread is lost.

    Used from one event loop. A call that waits for the lost one raises EngineStuckError, a call
    that comes while the next one is opened waits for it; where there is no next one, every call
    raises EngineBrokenError.
    """

    def __init__(
        self, first: WatchableEngine, reopen: Open, *, pause: Pause = asyncio.sleep
    ) -> None:
        """`pause` waits some seconds."""
        self._current = _OpenEngine(first)
        self._reopen = reopen
        self._pause = pause
        self._is_broken = False
        self._is_closed = False
        self._is_over = False
        self._num_erasures = 0
        self._settled = asyncio.Event()  # not set while the next one is opened
        self._settled.set()
        self._rebuilt_at: deque[float] = deque(maxlen=MOST_REBUILDS)
        self._left_behind: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Lock()
        self._watching = asyncio.create_task(self._watch(), name="engine's watch")

    @property
    def info(self) -> EngineInfo:
        """What is served."""
        return self._current.engine.info

    def load(self) -> EngineLoad:
        """What is going on now."""
        return self._current.engine.load() if self._settled.is_set() else EngineLoad(0, 0, 0.0)

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """Run `request`; see Engine.generate."""
        return await self._ask(lambda engine: engine.generate(request), request.deadline)

    async def score(self, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        """How likely the passages are; see Engine.score."""
        return await self._ask(lambda engine: engine.score(passages))

    async def predict(self, request: PredictionRequest) -> Prediction:
        """Go on with a text; see Engine.predict."""
        return await self._ask(lambda engine: engine.predict(request), request.deadline)

    def forget(self, num_erasures: int) -> None:
        """Keep nothing of what was read before; see Engine.forget."""
        self._num_erasures = num_erasures  # the next engine keeps nothing of it either
        self._current.engine.forget(num_erasures)

    async def close(self) -> None:
        """Close the engine; one that does not end is left behind."""
        self._is_closed = True
        self._settled.set()
        async with self._closing:
            if self._is_over:
                return
            self._is_over = True
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            # a broken one was left behind before
            if not self._is_broken and not await self._let_go(self._current.engine):
                logger.warning("The engine does not end: it is left behind.")
            self._current.end(EngineClosedError)
            for task in self._left_behind:
                task.cancel()
            await asyncio.gather(*self._left_behind, return_exceptions=True)

    async def _ask(
        self, question: Callable[[WatchableEngine], Awaitable[T]], deadline: float | None = None
    ) -> T:
        """What the engine answers; while the next one is opened, it is waited for."""
        try:
            async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
                await self._settled.wait()
        except TimeoutError:
            raise DeadlineError from None
        if self._is_closed:
            raise EngineClosedError
        if self._is_broken:
            raise EngineBrokenError
        return await self._current.ask(question)

    async def _watch(self) -> None:
        while not self._is_broken:
            loss = await self._loss(self._current.engine.pulse)
            try:
                await self._replace(loss)
            except Exception:  # whatever it was: the bot can be started again
                logger.exception("The engine cannot be opened again.")
                self._is_broken = True
            self._settled.set()

    async def _loss(self, pulse: Pulse) -> str:
        """Return when the thread is lost; says how."""
        num_ticks, still_seconds = -1, 0.0
        while not pulse.has_ended:
            await self._pause(LOOK_SECONDS)
            if not pulse.is_working or pulse.num_ticks != num_ticks:
                num_ticks, still_seconds = pulse.num_ticks, 0.0
                continue
            # Counted in looks, not by a clock: a bot that was paused as a whole does not hang.
            still_seconds += LOOK_SECONDS
            if still_seconds > pulse.patience_seconds:
                return "hangs"
        return "has ended"

    async def _replace(self, loss: str) -> None:
        """Answer the calls that wait, and open the next engine. Raises what the opening does."""
        lost, now = self._current, time.monotonic()
        self._settled.clear()
        logger.error("The engine's thread %s. It is at:\n%s", loss, lost.engine.pulse.where())
        is_hopeless = (
            len(self._rebuilt_at) == MOST_REBUILDS and now - self._rebuilt_at[0] < REBUILDS_SECONDS
        )
        lost.end(EngineBrokenError if is_hopeless else EngineStuckError)
        if is_hopeless:
            self._is_broken = True
            logger.error("It was opened %d times of late: this does not help.", MOST_REBUILDS)
            return
        self._rebuilt_at.append(now)
        if lost.engine.pulse.has_ended:  # its weights can be freed first
            await self._let_go(lost.engine)
        else:
            self._leave_behind(lost.engine)
        async with asyncio.timeout(OPEN_SECONDS):
            self._current = _OpenEngine(await self._reopen())
        self._current.engine.forget(self._num_erasures)
        logger.info("The engine has been opened again.")

    async def _let_go(self, engine: WatchableEngine) -> bool:
        """Close `engine` if it can be done soon; whether it could. Else it is left behind."""
        closing = self._leave_behind(engine)
        limit = asyncio.ensure_future(self._pause(CLOSE_SECONDS))
        await asyncio.wait({closing, limit}, return_when=asyncio.FIRST_COMPLETED)
        limit.cancel()
        if closing.done():
            closing.result()
        return closing.done()

    def _leave_behind(self, engine: WatchableEngine) -> "asyncio.Task[None]":
        """Close `engine` when its thread goes on, should it do so."""
        closing = asyncio.create_task(engine.close())
        self._left_behind.add(closing)
        closing.add_done_callback(self._left_behind.discard)
        return closing
