"""Either engine when the model, the device or a callback fails."""

import asyncio
import gc
import weakref
from dataclasses import replace

import pytest
import torch

from bot.engine.protocol import Cancellation
from bot.errors import (
    ChatError,
    EngineBrokenError,
    EngineMemoryError,
    NumericError,
    WithdrawnError,
)
from tests.engine.running import LONG, Gate, Opened, fail_with, outcomes_of, start


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
async def test_a_number_that_is_not_finite_fails_the_request_and_not_the_engine(
    either: Opened, value: float
) -> None:
    values = [value]

    def spoil(logits: torch.Tensor) -> None:
        if values:
            logits[..., 5] = values.pop()

    either.after_pass(spoil)
    with pytest.raises(NumericError):
        await start(either)
    await start(either)
    await either.until_idle_and_empty()


class CudaOutOfMemoryError(torch.OutOfMemoryError):
    """What the CUDA allocator raises."""


@pytest.mark.parametrize(
    "fault",
    [
        CudaOutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB)"),
        MemoryError(),
    ],
    ids=lambda fault: str(fault)[:30],
)
async def test_a_lone_request_without_memory_is_told(either: Opened, fault: Exception) -> None:
    fail_with(either, [fault])
    with pytest.raises(EngineMemoryError):
        await start(either)
    await start(either)
    await either.until_idle_and_empty()


async def test_an_allocation_that_is_too_large_is_a_memory_error(either: Opened) -> None:
    sizes = [2**60]

    def allocate(*_: object) -> None:
        if sizes:
            torch.empty(sizes.pop(), dtype=torch.uint8)

    either.before_pass(allocate)
    with pytest.raises(EngineMemoryError):
        await start(either)
    await start(either)


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
    either_narrow: Opened, fault: Exception
) -> None:
    gate = Gate(either_narrow.before_pass)
    fail_with(either_narrow, [fault])
    tasks = [start(either_narrow) for _ in range(5)]
    await gate.until_reached()
    gate.open()
    assert [type(o) for o in await outcomes_of(*tasks)] == [EngineBrokenError] * 5
    with pytest.raises(EngineBrokenError):
        await start(either_narrow)
    assert gate.num_passes == 1


async def test_an_unknown_error_reaches_the_caller_as_it_is(either: Opened) -> None:
    fail_with(either, [RuntimeError("shape mismatch")])
    with pytest.raises(RuntimeError, match="shape mismatch") as raised:
        await start(either)
    assert not isinstance(raised.value, ChatError)
    await start(either)


@pytest.mark.parametrize("error", [LookupError(), StopIteration(), SystemExit(1)], ids=repr)
@pytest.mark.parametrize("name", ["on_token", "on_position"])
async def test_a_callback_that_fails_fails_its_own_request_only(
    either_narrow: Opened, error: BaseException, name: str
) -> None:
    gate = Gate(either_narrow.before_pass)

    def fail(*_: int) -> None:
        raise error

    first = start(either_narrow)
    await gate.until_reached()  # the second one from now on waits
    before, failing, after = (
        start(either_narrow),
        start(either_narrow, **{name: fail}),
        start(either_narrow),
    )
    last = start(either_narrow, params=replace(LONG, num_candidates=2), on_token=lambda *_: None)
    await asyncio.sleep(0)  # they are waiting
    gate.open()
    outcomes = await outcomes_of(first, before, failing, after, last)
    assert isinstance(outcomes[2], LookupError | RuntimeError)
    assert [isinstance(o, list) for o in outcomes] == [True, True, False, True, True]
    await either_narrow.until_idle_and_empty()


async def test_a_failed_request_keeps_no_tensors(either: Opened) -> None:
    kept: list[weakref.ref[torch.Tensor]] = []
    cancellation = Cancellation()

    def remember(logits: torch.Tensor) -> None:
        kept.append(weakref.ref(logits))
        cancellation.cancel()

    either.after_pass(remember)
    (error,) = await outcomes_of(start(either, cancellation=cancellation))
    await either.until_idle_and_empty()
    gc.collect()
    assert isinstance(error, WithdrawnError)
    assert kept
    assert all(reference() is None for reference in kept)
