"""The thread of the engine for GPT-2s: round after round, a step of all replies in each.

Importing this module imports torch.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

import torch

from bot.engine.batching.kv_cache import PrefixCache
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Gpt2
from bot.engine.batching.runner import Runner
from bot.engine.batching.running_request import Run, completions
from bot.engine.checks import EngineLimits
from bot.engine.errands import Errands, Steps
from bot.engine.faults import is_broken_device, is_memory_fault
from bot.engine.protocol import EngineLoad
from bot.engine.pulse import Pulse
from bot.engine.scheduler import Job, WaitingLine, split_unwanted
from bot.engine.throughput import CacheHits, Throughput
from bot.errors import EngineBrokenError, EngineClosedError, EngineError, EngineMemoryError

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Worker:
    """Runs jobs in `thread`, which has exactly one worker; whatever comes wakes it.

    `submit`, `add_errand`, `forget`, `load` and `stop` are for any thread.
    """

    def __init__(self, loaded: LoadedGpt2, thread: Executor, limits: EngineLimits) -> None:
        self.prefixes = PrefixCache(limits.cache_bytes)
        self.pulse = Pulse()
        self.runner: Runner | None = Runner(loaded, self.prefixes, self._fail)
        self._device = str(loaded.placement.device)
        self._limits = limits
        self._most_runs = limits.num_rows  # in a step: halved at a fault, and growing again
        self._thread = thread
        self._lock = threading.Lock()  # guards the five below
        self._line = WaitingLine(limits.runs_of_a_member)
        self._arrived: list[Job] = []
        self._is_working = False
        self._num_erasures = 0  # the most that are known of
        self._refusal: type[EngineError] | None = None  # why nothing is run any more
        self._errands = Errands(self._explained)
        self._throughput = Throughput()
        self._hits = CacheHits()

    def load(self) -> EngineLoad:
        """What is going on now."""
        with self._lock:
            num_waiting = len(self._line) + len(self._arrived)
        runs = list(runner.runs) if (runner := self.runner) else []
        return EngineLoad(
            num_waiting=num_waiting,
            num_running=len(runs),
            tokens_per_second=self._throughput.tokens_per_second(),
            num_rows=sum(run.params.num_candidates for run in runs),
            max_rows=self._limits.num_rows,
            cached_share=self._hits.share(),
            prefix_bytes=self.prefixes.num_bytes,
            max_prefix_bytes=self._limits.cache_bytes,
        )

    def submit(self, job: Job) -> None:
        """Let `job` wait for its turn. Raises EngineClosedError and EngineBrokenError."""
        with self._lock:
            self._wake_or_raise()
            self._arrived.append(job)

    def add_errand(self, begin: Callable[[Gpt2], Steps[T]]) -> "Future[T]":
        """Run what `begin` makes of the network between two steps. Raises as `submit`."""
        with self._lock:
            self._wake_or_raise()
            if (runner := self.runner) is None:
                raise EngineClosedError
            return self._errands.add(begin(runner.network))

    def forget(self, num_erasures: int) -> None:
        """Keep nothing of requests with fewer erasures; see Engine.forget."""
        with self._lock:
            self._num_erasures = max(self._num_erasures, num_erasures)
            self._wake()

    def stop(self) -> None:
        """Answer every request that the engine is closed, and take nothing more."""
        with self._lock:
            self._refusal = EngineClosedError

    def free(self) -> None:
        """Let go of the model; only in the thread, after `stop`."""
        self.runner = None
        self.prefixes.shrink(0)
        self.pulse.idle()

    def _wake_or_raise(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        if not self._wake():
            raise EngineClosedError

    def _wake(self) -> bool:
        """Let the thread work, if it does not; False where it has ended. Under the lock."""
        if not self._is_working:
            try:
                self._thread.submit(self._work)
            except RuntimeError:  # closed, or Python itself is ending
                return False
            self.pulse.wake()
        self._is_working = True
        return True

    # ---- below: only in the engine's thread ----

    def _work(self) -> None:
        """Round after round until no request waits and nothing runs."""
        try:
            goes_on = True
            while goes_on and (runner := self.runner) is not None:
                try:
                    goes_on = self._round(runner)
                except BaseException as error:  # a waiting task must not wait for ever
                    self._give_up(runner, error)
        except BaseException:  # giving up has failed, too: the waiting tasks are told by the watch
            self.pulse.end()
            logger.exception("the engine's thread has ended")

    def _round(self, runner: Runner) -> bool:
        """Everything between two steps, and a step; False where there is nothing to do."""
        self.pulse.tick()
        with self._lock:
            for job in self._arrived:
                self._line.append(job)
                self._num_erasures = max(self._num_erasures, job.request.num_erasures)
            self._arrived.clear()
            num_erasures, refusal = self._num_erasures, self._refusal
        self.prefixes.erase(num_erasures)
        if refusal is not None:
            self._refuse_all(runner, refusal)
        self._sweep(runner)
        self._admit(runner)
        if self._errands:
            self.pulse.tick(None)
            self._errands.advance()
        if not runner.runs:
            with self._lock:
                is_unerased = self._num_erasures > self.prefixes.num_erasures
                self._is_working = bool(self._arrived or self._errands or is_unerased)
                if not self._is_working:
                    self.pulse.idle()
                return self._is_working
        self._step(runner)
        return True

    def _refuse_all(self, runner: Runner, refusal: type[EngineError]) -> None:
        self._errands.fail(refusal())
        for job in list(self._line):
            self._refuse(job, refusal())
        while runner.runs:
            self._fail(runner.runs.pop(), refusal())

    def _sweep(self, runner: Runner) -> None:
        """Answer the requests that are not wanted any more."""
        for job, error in split_unwanted(self._line):
            self._refuse(job, error)
        unwanted = dict(split_unwanted(run.job for run in runner.runs))
        for run in [run for run in runner.runs if run.job in unwanted]:
            runner.drop(run)
            self._fail(run, unwanted[run.job])

    def _admit(self, runner: Runner) -> None:
        """Begin the jobs for which there is a place, and tell the others theirs."""
        while (job := self._line.first()) is not None:
            if not runner.has_room(job.request, self._limits) or not self._begin(runner, job):
                break
        place = 0
        for job in self._line.in_order():
            try:
                job.tell(place)
            except BaseException as error:  # a fault of the callback is its own request's
                self._refuse(job, error)
            else:
                place += 1

    def _begin(self, runner: Runner, job: Job) -> bool:
        """Begin the first of the line; False: it has to wait until memory becomes free."""
        had_prefixes = len(self.prefixes) > 0
        try:
            run = runner.begin(job)
        except Exception as error:
            reason = self._explained(error)
            if isinstance(reason, EngineMemoryError) and (had_prefixes or runner.runs):
                return had_prefixes
            self._refuse(job, reason)
            return True
        self.prefixes.shrink(self._limits.cache_bytes - runner.reserved_bytes())
        with self._lock:
            self._line.next()
        self._hits.add(len(job.request.prompt_ids), run.num_cached_tokens)
        if not job.begin():
            runner.drop(run)
            self._end(run)
        return True

    def _step(self, runner: Runner) -> None:
        self.pulse.tick(runner.num_tokens(self._most_runs))
        try:
            self._throughput.add(runner.step(self._most_runs))
        except Exception as error:
            self.pulse.miss()
            self._recover(runner, error)
        for run in [run for run in runner.runs if run.is_over]:
            made = completions(run)
            runner.drop(run)
            self._end(run)
            run.job.future.set_result(made)
            self._most_runs = min(self._most_runs + 1, self._limits.num_rows)

    def _recover(self, runner: Runner, error: Exception) -> None:
        """Go on after a step that failed as a whole: with half as many, or without the one left.

        Raises `error` where the device is broken.
        """
        taking_part = runner.runs[: self._most_runs]
        reason = self._explained(error)
        if reason is error:
            logger.warning("a step of %d requests failed", len(taking_part), exc_info=error)
        if len(taking_part) > 1:
            self._most_runs = len(taking_part) // 2
            return
        self._most_runs = self._limits.num_rows
        for run in taking_part:
            runner.runs.remove(run)
            self._fail(run, reason)

    def _explained(self, error: Exception) -> Exception:
        """What a request is told of `error`; where memory was missing, as much as can be is freed.

        Raises `error` where the device is broken.
        """
        if is_broken_device(error):
            raise error
        if not is_memory_fault(error):
            return error
        logger.warning("out of memory on %s: %s", self._device, error)
        self.prefixes.shrink(0)
        if self._device.startswith("cuda"):
            torch.cuda.empty_cache()
        return EngineMemoryError()

    def _give_up(self, runner: Runner, error: BaseException) -> None:
        """Answer every request after a fault of the engine itself, and start with nothing."""
        if is_broken_device(error):
            logger.error("the device %s has failed: %s", self._device, error)
            with self._lock:
                self._refusal = self._refusal or EngineBrokenError
            return  # the next round refuses every request
        logger.error("the engine has failed", exc_info=error)
        with self._lock:
            jobs = [*self._arrived, *self._line, *(run.job for run in runner.runs)]
            self._arrived, self._line = [], WaitingLine(self._limits.runs_of_a_member)
        runner.runs.clear()
        self.prefixes.shrink(0)
        for job in jobs:
            job.fail(error)
        self._errands.fail(error)

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
