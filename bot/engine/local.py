"""The engine for GPT-2s: many replies at once, in one thread, with kept prefixes.

Importing this module imports torch (1.3 s): `bot.engine.opening` does it in the engine's thread.
"""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from bot.engine.faults import is_broken_device, is_memory_fault
from bot.engine.gpt2_loader import LoadedGpt2
from bot.engine.kv_cache import PrefixCache
from bot.engine.limits import EngineLimits
from bot.engine.pace import Pace
from bot.engine.request import Completion, EngineInfo, EngineLoad, GenerationRequest
from bot.engine.run import Run, completions
from bot.engine.runner import Runner
from bot.engine.scheduler import Job, WaitingLine, split_unwanted
from bot.errors import (
    ChatError,
    ContextTooLongError,
    EngineBrokenError,
    EngineClosedError,
    EngineMemoryError,
)

logger = logging.getLogger(__name__)


class LocalEngine:
    """Implements bot.engine.request.Engine; used from one event loop.

    All times in a Completion count from the call of `generate`.
    """

    def __init__(
        self,
        loaded: LoadedGpt2,
        model: str,
        thread: ThreadPoolExecutor,
        limits: EngineLimits,
    ) -> None:
        """`thread` has exactly one worker and belongs to the engine from now on."""
        network = loaded.network
        self._info = loaded.info(model)
        self._num_ids = network.shape.num_ids
        self._token_bytes = network.cache_shape.token_bytes
        self._limits = limits
        self._prefixes = PrefixCache(limits.cache_bytes)
        self._runner: Runner | None = Runner(network, loaded.end_ids, self._prefixes, self._fail)
        self._num_runs = limits.num_rows  # that take part in a step; halved where memory ends
        self._thread = thread
        self._lock = threading.Lock()  # guards the four below
        self._line = WaitingLine()
        self._arrived: list[Job] = []
        self._num_running = 0
        self._is_working = False
        self._pace = Pace()
        self._forgetting = threading.Event()
        self._broken = threading.Event()
        self._closing = threading.Event()
        self._closed = asyncio.Lock()

    @property
    def info(self) -> EngineInfo:
        """What is served."""
        return self._info

    def load(self) -> EngineLoad:
        """What is going on now."""
        with self._lock:
            num_waiting = len(self._line) + len(self._arrived)
            return EngineLoad(num_waiting, self._num_running, self._pace.tokens_per_second())

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """Run `request` beside others; see Engine.generate."""
        self._check(request)
        job = Job(request)
        self._submit(job)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            job.abandoned.cancel()
            raise

    def forget(self) -> None:
        """Keep nothing of what was said; see Engine.forget."""
        self._forgetting.set()
        with self._lock:
            self._wake()

    async def close(self) -> None:
        """Stop what runs, free the model and end the thread; may be called twice."""
        self._closing.set()
        async with self._closed:
            if self._runner is not None:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._free)
            self._thread.shutdown()  # does not block: the thread has nothing left to do

    def _check(self, request: GenerationRequest) -> None:
        if (refusal := self._refusal()) is not None:
            raise refusal
        ids = request.prompt_ids
        if not ids or min(ids) < 0 or max(ids) >= self._num_ids:
            raise ValueError(f"prompt ids must be 1 or more, each in 0..{self._num_ids - 1}")
        if len(ids) >= self._info.window:
            raise ContextTooLongError(num_tokens=len(ids), limit=self._info.window - 1)

    def _refusal(self) -> ChatError | None:
        """Why nothing is run any more, if so."""
        if self._closing.is_set():
            return EngineClosedError()
        return EngineBrokenError() if self._broken.is_set() else None

    def _submit(self, job: Job) -> None:
        with self._lock:
            if not self._wake():
                raise EngineClosedError
            self._arrived.append(job)

    def _wake(self) -> bool:
        """Let the thread work, if it does not; False where it has ended. Under the lock."""
        if not self._is_working:
            try:
                self._thread.submit(self._work)
            except RuntimeError:  # closed, or Python itself is ending
                return False
        self._is_working = True
        return True

    # ---- below: only in the engine's thread ----

    def _work(self) -> None:
        """Round after round until nobody waits and nothing runs."""
        runner = self._runner
        goes_on = runner is not None
        while runner is not None and goes_on:
            try:
                goes_on = self._round(runner)
            except BaseException as error:  # whoever waits must not wait for ever
                self._give_up(runner, error)

    def _round(self, runner: Runner) -> bool:
        """Everything between two steps, and a step; False where there is nothing to do."""
        with self._lock:
            for job in self._arrived:
                self._line.append(job)
            self._arrived.clear()
        if self._forgetting.is_set():
            self._forgetting.clear()
            runner.forget()
        if self._refusal() is not None:
            self._refuse_all(runner)
        self._sweep(runner)
        self._admit(runner)
        if not runner.runs:
            with self._lock:
                self._is_working = bool(self._arrived) or self._forgetting.is_set()
                return self._is_working
        self._step(runner)
        return True

    def _refuse_all(self, runner: Runner) -> None:
        for job in list(self._line):
            self._refuse(job, self._refusal() or EngineClosedError())
        for run in list(runner.runs):
            runner.runs.remove(run)
            self._fail(run, self._refusal() or EngineClosedError())

    def _sweep(self, runner: Runner) -> None:
        """Answer those that nobody waits for any more."""
        for job, error in split_unwanted(self._line):
            self._refuse(job, error)
        unwanted = dict(split_unwanted(run.job for run in runner.runs))
        for run in [run for run in runner.runs if run.job in unwanted]:
            runner.drop(run)
            self._fail(run, unwanted[run.job])

    def _admit(self, runner: Runner) -> None:
        """Begin the jobs for which there is a place, and tell the others theirs."""
        while (job := self._line.first()) is not None and self._has_room(runner, job):
            if not self._begin(runner, job):
                break
        place = 0
        for job in self._line.in_order():
            try:
                job.tell(place)
            except BaseException as error:  # a fault of the callback is its own request's
                self._refuse(job, error)
            else:
                place += 1

    def _has_room(self, runner: Runner, job: Job) -> bool:
        """Whether `job` may run beside the others; alone, even a too large one may try."""
        if not runner.runs:
            return True
        num_rows = runner.num_rows + job.request.params.num_candidates
        num_bytes = runner.reserved_bytes + runner.needed_bytes(job.request)
        return num_rows <= self._limits.num_rows and num_bytes <= self._limits.cache_bytes

    def _begin(self, runner: Runner, job: Job) -> bool:
        """Begin the first of the line; False: it has to wait until memory becomes free."""
        had_prefixes = len(self._prefixes) > 0
        try:
            run = runner.begin(job)
        except Exception as error:
            if is_memory_fault(error):
                self._release_memory(error)
                if had_prefixes or runner.runs:
                    return had_prefixes
                error = EngineMemoryError()
            elif is_broken_device(error):
                raise
            self._refuse(job, error)
            return True
        self._prefixes.shrink(self._limits.cache_bytes - runner.reserved_bytes)
        with self._lock:
            self._line.next()
            self._num_running += 1
        if not job.begin():
            runner.drop(run)
            self._end(run)
        return True

    def _step(self, runner: Runner) -> None:
        try:
            self._pace.add(runner.step(self._num_runs))
        except Exception as error:
            self._recover(runner, error)
        for run in [run for run in runner.runs if run.is_over]:
            made = completions(run)
            runner.drop(run)
            self._end(run)
            run.job.future.set_result(made)
            self._num_runs = min(self._num_runs + 1, self._limits.num_rows)

    def _recover(self, runner: Runner, error: Exception) -> None:
        """Go on after a step that failed as a whole; the runs are as they were before it.

        Fewer take part in the next one, until it succeeds or it is known who cannot be run.
        """
        if is_broken_device(error):
            raise error
        taking_part = runner.runs[: self._num_runs]
        if is_memory_fault(error):
            self._release_memory(error)
        else:
            logger.warning("a step of %d requests failed", len(taking_part), exc_info=error)
        if len(taking_part) > 1:
            self._num_runs = len(taking_part) // 2
            return
        self._num_runs = self._limits.num_rows
        for run in taking_part:
            runner.runs.remove(run)
            self._fail(run, EngineMemoryError() if is_memory_fault(error) else error)

    def _give_up(self, runner: Runner, error: BaseException) -> None:
        """Answer everybody after a fault that is nobody's own, and start with nothing."""
        if is_broken_device(error):
            logger.error("the device %s has failed: %s", self._info.device, error)
            self._broken.set()
            return  # the next round refuses everybody
        logger.error("the engine has failed", exc_info=error)
        with self._lock:
            jobs = [*self._arrived, *self._line, *(run.job for run in runner.runs)]
            self._arrived, self._line, self._num_running = [], WaitingLine(), 0
        runner.runs.clear()
        self._prefixes.shrink(0)
        for job in jobs:
            job.fail(error)

    def _refuse(self, job: Job, error: BaseException) -> None:
        """Answer a job that waits."""
        with self._lock:
            self._line.remove(job)
        job.fail(error)

    def _fail(self, run: Run, error: BaseException) -> None:
        """Answer a run that was taken out of the runner."""
        self._end(run)
        run.job.fail(error)

    def _end(self, run: Run) -> None:
        with self._lock:
            self._line.done(run.job)
            self._num_running -= 1

    def _release_memory(self, error: Exception) -> None:
        logger.warning("out of memory on %s: %s", self._info.device, error)
        self._prefixes.shrink(0)
        if self._info.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _free(self) -> None:
        self._runner = None
        self._prefixes.shrink(0)
