"""The reference engine: transformers' `generate`, one request after another, in its own thread.

It serves every architecture that transformers knows, and it is the oracle for faster engines.
Importing this module imports torch and transformers (4 s): `bot.engine.opening` does it in the
engine's thread.
"""

import asyncio
import gc
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList

from bot.engine.checks import check_passages, check_prompt
from bot.engine.errands import Errands, Steps
from bot.engine.faults import is_broken_device, is_memory_fault
from bot.engine.prediction import predict_steps
from bot.engine.protocol import (
    Completion,
    EngineInfo,
    EngineLoad,
    GenerationRequest,
    Passage,
    Prediction,
    PredictionRequest,
)
from bot.engine.pulse import Pulse
from bot.engine.reference.generation import (
    RawLogits,
    ReplyWatch,
    completions_of,
    interruptible,
    sampling_config,
)
from bot.engine.reference.loader import LoadedModel
from bot.engine.reference.reading import TransformersReader, score_steps
from bot.engine.reference.rules import ReplyRules
from bot.engine.scheduler import Job
from bot.engine.throughput import Throughput
from bot.errors import (
    ChatError,
    EngineBrokenError,
    EngineClosedError,
    EngineMemoryError,
    WithdrawnError,
)

logger = logging.getLogger(__name__)
_NUM_SEEDS = 2**31
_ERRAND_SECONDS = 0.25
T = TypeVar("T")


class ReferenceEngine:
    """Implements bot.engine.protocol.Engine; used from one event loop.

    All times in a Completion count from the call of `generate`.
    """

    def __init__(self, loaded: LoadedModel, model: str, thread: Executor) -> None:
        """`thread` has exactly one worker and belongs to the engine from now on."""
        self._loaded: LoadedModel | None = loaded
        self._info = EngineInfo(
            model=model,
            revision=loaded.commit,
            device=str(loaded.placement.device),
            dtype=str(loaded.placement.dtype).removeprefix("torch."),
            window=loaded.window,
            num_parameters=loaded.num_parameters,
        )
        self._num_ids = loaded.num_ids
        self._thread = thread
        self._lock = threading.Lock()  # guards the two below
        self._waiting: deque[Job] = deque()
        self._num_running = 0
        self._errands = Errands(self._outcome_of)
        self._throughput = Throughput()
        self.pulse = Pulse()
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
            num_waiting, num_running = len(self._waiting), self._num_running
        tokens_per_second = self._throughput.tokens_per_second()
        return EngineLoad(num_waiting, num_running, tokens_per_second, num_rows=num_running)

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """Run `request` after those that came before; see Engine.generate."""
        self._stop_if_ended()
        check_prompt(request.prompt_ids, self._num_ids, self._info.window)
        job = Job(request)
        with self._lock:
            self._submit(self._run_next)
            self._waiting.append(job)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            job.abandoned.cancel()
            raise

    async def score(self, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        """How likely the passages are, between two requests; see Engine.score."""
        self._stop_if_ended()
        check_passages(passages, self._num_ids, self._info.window)
        return await self._run_between(score_steps(self._network, passages))

    async def predict(self, request: PredictionRequest) -> Prediction:
        """Go on with a text, between two requests; see Engine.predict."""
        self._stop_if_ended()
        check_prompt(request.text_ids, self._num_ids, self._info.window)
        return await self._run_between(predict_steps(TransformersReader(self._network), request))

    def forget(self, num_erasures: int) -> None:
        """Do nothing: a request leaves nothing behind."""

    async def close(self) -> None:
        """Stop what runs, free the model and end the thread; may be called twice."""
        self._closing.set()
        async with self._closed:
            if self._loaded is not None:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._free)
            self._thread.shutdown()  # does not block: the thread has nothing left to do

    async def _run_between(self, steps: Steps[T]) -> T:
        future = self._errands.add(steps)
        self._submit(self._run_errands)
        return await asyncio.wrap_future(future)

    def _submit(self, work: Callable[[], None]) -> None:
        try:
            self._thread.submit(self._alive, work)
        except RuntimeError as error:  # closed, or Python itself is ending
            raise EngineClosedError from error

    # ---- below: only in the engine's thread ----

    def _alive(self, work: Callable[[], None]) -> None:
        with self.pulse.working():
            work()

    def _run_next(self) -> None:
        with self._lock:
            if not self._waiting:
                return
            job = self._waiting.popleft()
            self._num_running = 1
        self._update_queue()
        outcome: list[Completion] | BaseException
        try:
            outcome = self._generate(job) if job.begin() else WithdrawnError()
        except BaseException as error:  # a callback's, maybe: the waiting task has to be answered
            outcome = self._outcome_of(error) if isinstance(error, Exception) else error
        if isinstance(outcome, EngineMemoryError):
            self._release_memory()
        with self._lock:
            self._num_running = 0
        if isinstance(outcome, BaseException):
            job.fail(outcome)
        else:
            job.future.set_result(outcome)

    def _network(self) -> LoadedModel:
        self._stop_if_ended()
        if self._loaded is None:
            raise EngineClosedError
        return self._loaded

    def _run_errands(self) -> None:
        """Take errands' steps for a while, then let the next waiting request have a turn."""
        until = time.monotonic() + _ERRAND_SECONDS
        while len(self._errands):
            if time.monotonic() > until and not self._closing.is_set():
                self._thread.submit(self._alive, self._run_errands)
                return
            self._errands.advance()

    def _generate(self, job: Job) -> list[Completion]:
        self._stop_if_unwanted(job)
        loaded, request, params = self._network(), job.request, job.request.params
        started_at = time.monotonic()
        seed = params.seed if params.seed is not None else secrets.randbelow(_NUM_SEEDS)
        watch = ReplyWatch(
            params.num_candidates,
            loaded.end_ids,
            on_step=lambda num_tokens: self._step(job, num_tokens),
            on_token=request.on_token,
        )
        device, network = loaded.placement.device, loaded.network
        ids = torch.tensor([request.prompt_ids], device=device)
        num_new = min(params.max_new_tokens, loaded.window - len(request.prompt_ids))
        rules = ReplyRules(request, loaded.end_ids, loaded.letters, num_new)
        cuda = [device] if device.type == "cuda" else []
        # `generate` takes no torch.Generator; no other thread of the bot draws from torch
        with (
            torch.random.fork_rng(devices=cuda),
            interruptible(network, partial(self._stop_if_unwanted, job)),
        ):
            torch.manual_seed(seed)
            network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                generation_config=sampling_config(params, loaded, num_new),
                logits_processor=LogitsProcessorList([RawLogits(watch), rules]),
                stopping_criteria=StoppingCriteriaList([watch]),
            )
        return completions_of(job, watch, seed, started_at)

    def _step(self, job: Job, num_tokens: int) -> None:
        self._throughput.add(num_tokens)
        self._stop_if_unwanted(job)
        self._update_queue()

    def _stop_if_ended(self) -> None:
        if self._closing.is_set():
            raise EngineClosedError
        if self._broken.is_set():
            raise EngineBrokenError

    def _stop_if_unwanted(self, job: Job) -> None:
        self.pulse.tick(None)  # comes before every layer, and at every token
        self._stop_if_ended()
        job.stop_if_unwanted()

    def _update_queue(self) -> None:
        """Answer waiting requests that are not wanted any more; tell the others their places."""
        with self._lock:
            waiting = list(self._waiting)
        place = 0
        for job in waiting:
            try:
                self._stop_if_unwanted(job)
                job.tell(place)
            except BaseException as error:  # a fault of the callback is its own request's
                with self._lock:
                    self._waiting.remove(job)
                job.fail(error)
            else:
                place += 1

    def _outcome_of(self, error: Exception) -> Exception:
        if isinstance(error, ChatError):
            return error.with_traceback(None)  # its frames would keep the KV cache alive
        if is_memory_fault(error):
            logger.warning("out of memory on %s: %s", self._info.device, error)
            return EngineMemoryError()
        if is_broken_device(error):
            logger.error("the device %s has failed: %s", self._info.device, error)
            self._broken.set()
            return EngineBrokenError()
        return error

    def _release_memory(self) -> None:
        if self._info.device.startswith("cuda"):  # elsewhere it is freed by itself
            gc.collect()
            torch.cuda.empty_cache()

    def _free(self) -> None:
        self._loaded = None
        if not self._broken.is_set():
            self._release_memory()
