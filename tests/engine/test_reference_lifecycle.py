"""The reference engine under cancellation, deadlines, faults and close."""

import asyncio
import gc
import threading
import time
import weakref
from dataclasses import replace

import pytest
import torch

from bot.dialogue.sampling import SamplingParams
from bot.engine.request import Cancellation, GenerationRequest
from bot.errors import (
    ChatError,
    DeadlineError,
    EngineBrokenError,
    EngineClosedError,
    EngineMemoryError,
    NumericError,
    WithdrawnError,
)
from tests.engine.conftest import Opened

LONG = SamplingParams(max_new_tokens=200, min_new_tokens=16, no_repeat_ngram_size=1, seed=1)
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


@pytest.fixture
async def gate(opened: Opened) -> Gate:
    return Gate(opened)


def fail_with(opened: Opened, errors: list[Exception]) -> None:
    """Every next forward pass raises the next of `errors`, then all is well."""

    def fail(*_: object) -> None:
        if errors:
            raise errors.pop(0)

    opened.loaded.network.register_forward_pre_hook(fail)


def sleep_until(moment: float) -> None:
    time.sleep(max(moment - time.monotonic(), 0) + 0.001)


def start(opened: Opened, **changes: object) -> "asyncio.Task[object]":
    asked = replace(GenerationRequest(opened.prompt, LONG), **changes)  # type: ignore[arg-type]  # a test's keyword arguments
    return asyncio.create_task(opened.engine.generate(asked))


async def test_cancelling_stops_a_running_request_at_its_next_step(
    opened: Opened, gate: Gate
) -> None:
    cancellation = Cancellation()
    task = start(opened, cancellation=cancellation)
    await gate.until_reached()
    cancellation.cancel()
    gate.open()
    with pytest.raises(WithdrawnError):
        await task
    assert gate.num_passes == 1


async def test_cancelling_answers_a_waiting_request_while_another_runs(
    opened: Opened, gate: Gate
) -> None:
    cancellation = Cancellation()
    running = start(opened)
    waiting = start(opened, cancellation=cancellation)
    await gate.until_reached()
    cancellation.cancel()
    gate.open()
    with pytest.raises(WithdrawnError):
        await waiting
    assert not running.done()
    await running


async def test_cancelling_the_task_stops_its_request(opened: Opened, gate: Gate) -> None:
    task = start(opened)
    await gate.until_reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open()
    await start(opened, params=SHORT)
    assert gate.num_passes <= 1 + SHORT.max_new_tokens


async def test_cancelling_a_waiting_task_never_runs_its_request(opened: Opened, gate: Gate) -> None:
    running, waiting = start(opened), start(opened)
    await gate.until_reached()
    waiting.cancel()
    gate.open()
    await running
    num_passes = gate.num_passes
    await start(opened, params=SHORT)
    assert gate.num_passes <= num_passes + SHORT.max_new_tokens


async def test_deadline_stops_a_running_request_at_its_next_step(
    opened: Opened, gate: Gate
) -> None:
    deadline = time.monotonic() + 0.05
    gate.open()
    opened.loaded.network.register_forward_hook(lambda *_: sleep_until(deadline))
    with pytest.raises(DeadlineError):
        await start(opened, deadline=deadline)
    assert gate.num_passes == 1


async def test_deadline_in_the_past_is_told_without_a_forward_pass(
    opened: Opened, gate: Gate
) -> None:
    with pytest.raises(DeadlineError):
        await start(opened, deadline=time.monotonic() - 1)
    assert gate.num_passes == 0


async def test_requests_run_in_the_order_they_came(opened: Opened, gate: Gate) -> None:
    order: list[int] = []
    tasks = []
    for number in range(6):
        task = start(opened, params=replace(LONG, max_new_tokens=8))
        task.add_done_callback(lambda _, number=number: order.append(number))  # type: ignore[misc]  # a default binds it
        tasks.append(task)
    gate.open()
    await asyncio.gather(*tasks)
    assert order == list(range(6))


async def test_waiting_requests_are_told_their_place(opened: Opened, gate: Gate) -> None:
    places: dict[int, list[int]] = {number: [] for number in range(4)}
    tasks = [start(opened, on_position=places[number].append) for number in range(4)]
    await gate.until_reached()
    assert opened.engine.load().num_running == 1
    gate.open()
    await asyncio.gather(*tasks)
    assert places == {0: [], 1: [0], 2: [1, 0], 3: [2, 1, 0]}


async def test_a_failing_position_callback_fails_its_own_request_only(
    opened: Opened, gate: Gate
) -> None:
    def fail(_: int) -> None:
        raise LookupError

    running, failing, last = start(opened), start(opened, on_position=fail), start(opened)
    gate.open()
    with pytest.raises(LookupError):
        await failing
    await asyncio.gather(running, last)


async def test_nan_weights_fail_the_request_and_not_the_engine(opened: Opened) -> None:
    bias = opened.loaded.network.transformer.h[1].mlp.c_proj.bias
    sound = bias.detach().clone()
    with torch.no_grad():
        bias[3] = torch.nan
    with pytest.raises(NumericError):
        await start(opened)
    with torch.no_grad():
        bias.copy_(sound)
    await start(opened)


async def test_infinite_logits_fail_the_request(opened: Opened) -> None:
    with torch.no_grad():
        opened.loaded.network.transformer.ln_f.bias[0] = torch.inf
    with pytest.raises(NumericError):
        await start(opened)


class CudaOutOfMemoryError(torch.OutOfMemoryError):
    """What the CUDA allocator raises."""


@pytest.mark.parametrize(
    "fault",
    [
        CudaOutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB)"),
        MemoryError(),
    ],
    ids=lambda fault: str(fault)[:30],
)
async def test_no_memory_fails_the_request_and_not_the_engine(
    opened: Opened, fault: Exception
) -> None:
    fail_with(opened, [fault])
    with pytest.raises(EngineMemoryError):
        await start(opened)
    await start(opened)


async def test_an_allocation_that_is_too_large_is_a_memory_error(opened: Opened) -> None:
    def allocate(*_: object) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    handle = opened.loaded.network.register_forward_pre_hook(allocate)
    with pytest.raises(EngineMemoryError):
        await start(opened)
    handle.remove()
    await start(opened)


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"),
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    ],
    ids=lambda fault: str(fault)[:40],
)
async def test_a_broken_device_refuses_everything_that_follows(
    opened: Opened, gate: Gate, fault: Exception
) -> None:
    fail_with(opened, [fault])
    tasks = [start(opened) for _ in range(3)]
    gate.open()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EngineBrokenError] * 3
    with pytest.raises(EngineBrokenError):
        await start(opened)
    assert gate.num_passes == 1


async def test_an_unknown_error_reaches_the_caller_as_it_is(opened: Opened) -> None:
    fail_with(opened, [RuntimeError("shape mismatch")])
    with pytest.raises(RuntimeError, match="shape mismatch") as raised:
        await start(opened)
    assert not isinstance(raised.value, ChatError)
    await start(opened)


async def test_close_stops_everything_and_leaves_no_thread(opened: Opened, gate: Gate) -> None:
    tasks = [start(opened) for _ in range(3)]
    await gate.until_reached()
    closing = asyncio.create_task(opened.engine.close())
    await asyncio.sleep(0)
    gate.open()
    await closing
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EngineClosedError] * 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("engine")]


async def test_close_may_be_called_twice_and_at_once(opened: Opened) -> None:
    await asyncio.gather(opened.engine.close(), opened.engine.close())
    await opened.engine.close()
    with pytest.raises(EngineClosedError):
        await start(opened)
    assert opened.engine.info.model == "tiny"


async def test_a_failed_request_keeps_no_tensors(opened: Opened) -> None:
    kept: list[weakref.ref[torch.Tensor]] = []

    def remember(_: object, __: object, output: object) -> None:
        kept.append(weakref.ref(output.logits))  # type: ignore[attr-defined]  # a network's output

    opened.loaded.network.register_forward_hook(remember)
    deadline = time.monotonic() + 0.05
    opened.loaded.network.register_forward_pre_hook(lambda *_: sleep_until(deadline))
    task = start(opened, deadline=deadline)
    (error,) = await asyncio.gather(task, return_exceptions=True)
    gc.collect()
    assert isinstance(error, DeadlineError)
    assert kept
    assert all(reference() is None for reference in kept)


async def test_the_event_loop_stays_free_while_the_model_works(opened: Opened, gate: Gate) -> None:
    task = start(opened)
    await gate.until_reached()
    started_at = time.monotonic()
    for _ in range(100):
        await asyncio.sleep(0)
    assert time.monotonic() - started_at < 0.5
    gate.open()
    await task
