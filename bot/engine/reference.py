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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList

from bot.dialogue.sampling import SamplingParams
from bot.engine.faults import is_broken_device, is_memory_fault
from bot.engine.interruption import interruptible
from bot.engine.loader import LoadedModel, generation_config
from bot.engine.pace import Pace
from bot.engine.processors import RawLogits, ReplyRules, ReplyWatch
from bot.engine.request import (
    Completion,
    EngineInfo,
    EngineLoad,
    FinishReason,
    GenerationRequest,
)
from bot.engine.scheduler import Job
from bot.errors import (
    ChatError,
    ContextTooLongError,
    DeadlineError,
    EngineBrokenError,
    EngineClosedError,
    EngineMemoryError,
    WithdrawnError,
)

logger = logging.getLogger(__name__)
_NUM_SEEDS = 2**31


class ReferenceEngine:
    """Implements bot.engine.request.Engine; used from one event loop.

    All times in a Completion count from the call of `generate`.
    """

    def __init__(self, loaded: LoadedModel, model: str, thread: ThreadPoolExecutor) -> None:
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
        self._pace = Pace()
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
        return EngineLoad(num_waiting, num_running, self._pace.tokens_per_second())

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """Run `request` after those that came before; see Engine.generate."""
        self._check(request)
        job = Job(request)
        with self._lock:
            self._waiting.append(job)
        self._thread.submit(self._run_next)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            job.abandoned.cancel()
            raise

    def forget(self) -> None:
        """Do nothing: a request leaves nothing behind."""

    async def close(self) -> None:
        """Stop what runs, free the model and end the thread; may be called twice."""
        self._closing.set()
        async with self._closed:
            if self._loaded is None:
                return
            await asyncio.get_running_loop().run_in_executor(self._thread, self._free)
            self._thread.shutdown()  # does not block: the thread has nothing left to do

    def _check(self, request: GenerationRequest) -> None:
        if self._closing.is_set():
            raise EngineClosedError
        if self._broken.is_set():
            raise EngineBrokenError
        ids = request.prompt_ids
        # a CUDA device does not survive an id or a position beyond its table
        if not ids or min(ids) < 0 or max(ids) >= self._num_ids:
            raise ValueError(f"prompt ids must be 1 or more, each in 0..{self._num_ids - 1}")
        if len(ids) >= self._info.window:
            raise ContextTooLongError(num_tokens=len(ids), limit=self._info.window - 1)

    # ---- below: only in the engine's thread ----

    def _run_next(self) -> None:
        self._clear_queue()
        with self._lock:
            job = self._waiting.popleft() if self._waiting else None
            self._num_running = 1 if job is not None else 0
        if job is None or not job.future.set_running_or_notify_cancel():
            return
        self._tell_places()  # everybody moved up
        outcome: list[Completion] | Exception
        try:
            outcome = self._generate(job)
        except Exception as error:
            outcome = self._outcome_of(error)
        if isinstance(outcome, EngineMemoryError):
            self._release_memory()
        with self._lock:
            self._num_running = 0
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)

    def _generate(self, job: Job) -> list[Completion]:
        self._stop_if_unwanted(job)
        loaded, request, params = self._loaded, job.request, job.request.params
        if loaded is None:
            raise EngineClosedError
        started_at = time.monotonic()
        seed = params.seed if params.seed is not None else secrets.randbelow(_NUM_SEEDS)
        watch = ReplyWatch(
            params.num_candidates,
            loaded.end_ids,
            on_step=lambda num_tokens: self._step(job, num_tokens),
            on_token=request.on_token,
        )
        ids = torch.tensor([request.prompt_ids], device=loaded.placement.device)
        room = loaded.window - len(request.prompt_ids)
        unless_unwanted = partial(self._stop_if_unwanted, job)
        with (
            _seeded(seed, loaded.placement.device),
            interruptible(loaded.network, unless_unwanted),
        ):
            loaded.network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                generation_config=_sampling(params, loaded, min(params.max_new_tokens, room)),
                logits_processor=LogitsProcessorList(
                    [RawLogits(watch), ReplyRules(params, ids.shape[1], loaded.end_ids)]
                ),
                stopping_criteria=StoppingCriteriaList([watch]),
            )
        return _completions(job, watch, seed, started_at)

    def _step(self, job: Job, num_tokens: int) -> None:
        self._pace.add(num_tokens)
        self._stop_if_unwanted(job)
        self._clear_queue()
        self._tell_places()

    def _stop_if_unwanted(self, job: Job) -> None:
        if self._closing.is_set():
            raise EngineClosedError
        if self._broken.is_set():
            raise EngineBrokenError
        if job.abandoned.cancelled or job.request.cancellation.cancelled:
            raise WithdrawnError
        if job.request.deadline is not None and time.monotonic() > job.request.deadline:
            raise DeadlineError

    def _clear_queue(self) -> None:
        """Answer the waiting requests that nobody wants any more."""
        for job in self._queue():
            try:
                self._stop_if_unwanted(job)
            except ChatError as error:
                self._refuse(job, error)

    def _tell_places(self) -> None:
        for place, job in enumerate(self._queue()):
            try:
                job.tell(place)
            except Exception as error:  # a fault of the callback is its own request's
                self._refuse(job, error)

    def _queue(self) -> list[Job]:
        with self._lock:
            return list(self._waiting)

    def _refuse(self, job: Job, error: Exception) -> None:
        with self._lock:
            self._waiting.remove(job)
        if job.future.set_running_or_notify_cancel():
            job.future.set_exception(error)

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
        if not self._info.device.startswith("cuda"):
            return  # freed by itself
        gc.collect()
        torch.cuda.empty_cache()

    def _free(self) -> None:
        self._loaded = None
        if not self._broken.is_set():
            self._release_memory()


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    # `generate` takes no torch.Generator; no other thread of the bot draws from torch
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _sampling(params: SamplingParams, loaded: LoadedModel, max_new_tokens: int) -> object:
    return generation_config(
        max_new_tokens=max_new_tokens,
        do_sample=True,
        temperature=params.temperature,
        top_k=params.top_k,
        top_p=params.top_p,
        min_p=params.min_p or None,
        num_return_sequences=params.num_candidates,
        eos_token_id=list(loaded.end_ids),
        pad_token_id=loaded.end_ids[0],
        use_cache=True,
    )


def _completions(job: Job, watch: ReplyWatch, seed: int, started_at: float) -> list[Completion]:
    now = time.monotonic()
    first_token_at = watch.first_token_at or now
    return [
        Completion(
            ids=tuple(ids),
            logprobs=tuple(logprobs),
            finish_reason=FinishReason.STOP if ended else FinishReason.LENGTH,
            seed=seed,
            num_prompt_tokens=len(job.request.prompt_ids),
            queued_seconds=started_at - job.submitted_at,
            first_token_seconds=first_token_at - job.submitted_at,
            total_seconds=now - job.submitted_at,
        )
        for ids, logprobs, ended in zip(watch.ids, watch.logprobs, watch.ended, strict=True)
    ]
