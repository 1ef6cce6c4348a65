"""Opens the local model: the one place of the heavy imports, in the threads that use them.

Importing torch and transformers takes 4 s and would stop the event loop.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from bot.engine.checkpoints.checkpoint import Checkpoint, inspect_checkpoint
from bot.engine.checkpoints.gpt2_config import is_gpt2, own_bytes
from bot.engine.checks import EngineLimits
from bot.engine.protocol import EngineInfo, TokenizerThread
from bot.engine.pulse import WatchableEngine
from bot.engine.supervision import SupervisedEngine
from bot.engine.thread import EngineThread

T = TypeVar("T")
logger = logging.getLogger(__name__)
DEFAULT_LIMITS = EngineLimits()
_SMALL_BYTES = 64 * 2**20  # of weights


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be opened; the fields are the parameters of `open_engine`."""

    folder: Path
    model: str
    device: str
    dtype: str
    num_threads: int | None
    cores: frozenset[int] | None
    limits: EngineLimits


async def open_engine(
    folder: Path,
    *,
    model: str,
    device: str,
    dtype: str,
    num_threads: int | None = None,
    cores: frozenset[int] | None = None,
    limits: EngineLimits = DEFAULT_LIMITS,
) -> SupervisedEngine:
    """Load the checkpoint in `folder` in the engine's own thread and warm it up.

    `model` is the name that EngineInfo shows; `device` and `dtype` are the settings;
    `num_threads` None: a thread for each core but one, which is left to everything else (with
    one for each, a second busy program makes every step wait for the slowest thread); for a
    small model one. `cores`: those that they keep to; None: any.
    `limits` hold for the engine for GPT-2s only.
    Open the tokenizer before or after, not at the same time: both import transformers.
    Raises ModelError and WrongSettingsError.
    """
    wanted = Wanted(folder, model, device, dtype, num_threads, cores, limits)
    open_once = partial(_open_once, wanted)
    return SupervisedEngine(await open_once(), open_once)


async def _open_once(wanted: Wanted) -> WatchableEngine:
    """An engine in a thread that may hang or end."""
    thread = EngineThread("engine", wanted.cores)
    started_at = time.monotonic()
    engine = await _open_in(thread, partial(_prepare, wanted, thread))
    _tell(engine.info, time.monotonic() - started_at)
    if wanted.device == "auto" and engine.info.device == "cpu":
        logger.info(
            "No GPU was found: the model runs on the processor, where a large one such as "
            "microsoft/DialoGPT-medium takes seconds for a reply."
        )
    return engine


def _prepare(wanted: Wanted, thread: Executor) -> Callable[[], WatchableEngine]:
    """Import what the model needs, in the engine's thread; what is returned loads it."""
    checkpoint = inspect_checkpoint(wanted.folder)  # what is wrong is told before the imports
    # heavy: see the module's docstring
    import torch  # noqa: PLC0415

    from bot.engine.placement.device import choose_placement  # noqa: PLC0415

    # counts for the calling thread only
    torch.set_num_threads(wanted.num_threads or _sound_threads(checkpoint, wanted.cores))
    folder, device, dtype = wanted.folder, wanted.device, wanted.dtype
    kind = choose_placement(device, dtype, own_bytes=own_bytes(checkpoint)).device.type
    if not is_gpt2(checkpoint.config) or kind not in ("cpu", "cuda"):
        return _prepare_reference(wanted, thread)
    from bot.engine.batching.engine import LocalEngine  # noqa: PLC0415
    from bot.engine.batching.loader import load_gpt2  # noqa: PLC0415

    if kind == "cuda":
        return partial(_open_on_cuda, wanted, thread)
    return lambda: LocalEngine(
        load_gpt2(folder, device, dtype), wanted.model, thread, wanted.limits
    )


def _prepare_reference(wanted: Wanted, thread: Executor) -> Callable[[], WatchableEngine]:
    from bot.engine.reference.engine import ReferenceEngine  # noqa: PLC0415
    from bot.engine.reference.loader import load_model  # noqa: PLC0415 - imports transformers as well

    folder, device, dtype = wanted.folder, wanted.device, wanted.dtype
    return lambda: ReferenceEngine(load_model(folder, device, dtype), wanted.model, thread)


def _open_on_cuda(wanted: Wanted, thread: Executor) -> WatchableEngine:
    """The engine for GPT-2s if it computes there what it should, else the reference engine."""
    # heavy: see the module's docstring
    from bot.engine.batching.cuda.opening import load_on_cuda  # noqa: PLC0415
    from bot.engine.batching.cuda.self_check import UnsoundError  # noqa: PLC0415
    from bot.engine.batching.engine import LocalEngine  # noqa: PLC0415

    try:
        loaded, limits = load_on_cuda(wanted.folder, wanted.device, wanted.dtype, wanted.limits)
        return LocalEngine(loaded, wanted.model, thread, limits)
    except UnsoundError as error:
        logger.warning(
            "The engine for GPT-2s does not compute on this device what it should (%s): "
            "transformers makes the replies, one after another.",
            error,
        )
    return _prepare_reference(wanted, thread)()


def _sound_threads(checkpoint: Checkpoint, cores: frozenset[int] | None) -> int:
    """The processor threads of a model where NUM_THREADS is not set: one core is left alone.

    A small network gains nothing from a second thread, and waits for it on a busy machine.
    """
    num_bytes = sum(path.stat().st_size for path in checkpoint.weight_files)
    if num_bytes < _SMALL_BYTES:
        return 1
    if cores:
        return len(cores)
    # a container may have few of many
    num_cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 2
    return max(1, num_cores - 1)


async def open_tokenizer(folder: Path) -> TokenizerThread:
    """Load the tokenizer of the checkpoint in `folder` in a thread of its own.

    Raises ModelError.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")

    def prepare() -> Callable[[], TokenizerThread]:
        # heavy: see the module's docstring
        from bot.engine.tokenizer import ThreadedTokenizer, load_tokenizer  # noqa: PLC0415

        return lambda: ThreadedTokenizer(thread, load_tokenizer(folder))

    return await _open_in(thread, prepare)


async def _open_in(thread: Executor, prepare: Callable[[], Callable[[], T]]) -> T:
    """Run `prepare` in `thread`, then what it returns; cancelled in between, nothing is loaded."""
    loop = asyncio.get_running_loop()
    try:
        load = await loop.run_in_executor(thread, prepare)
        return await loop.run_in_executor(thread, load)
    except asyncio.CancelledError:
        thread.shutdown(wait=False)  # it ends when the loading does, and the model is freed
        raise
    except Exception:
        await loop.run_in_executor(thread, threading.get_ident)
        thread.shutdown()  # does not block: the thread has nothing left to do
        raise


def _tell(info: EngineInfo, seconds: float) -> None:
    logger.info(
        "Model loaded in %.1f s: %s%s, %.3g million parameters, %s on %s, window of %d tokens.",
        seconds,
        info.model,
        f" ({info.revision[:12]})" if info.revision else "",
        info.num_parameters / 1e6,
        info.dtype,
        info.device,
        info.window,
    )
