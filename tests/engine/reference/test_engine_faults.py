"""The reference engine when the model or the device fails."""

import asyncio
import gc
import weakref

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
from tests.engine.running import Gate, Opened, start


def fail_with(opened: Opened, errors: list[Exception]) -> None:
    """Every next forward pass raises the next of `errors`, then all is well."""

    def fail(*_: object) -> None:
        if errors:
            raise errors.pop(0)

    opened.loaded.network.register_forward_pre_hook(fail)


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


@pytest.mark.parametrize("error", [LookupError(), StopIteration(), SystemExit(1)], ids=repr)
@pytest.mark.parametrize("name", ["on_token", "on_position"])
async def test_a_callback_that_fails_fails_its_own_request_only(
    opened: Opened, gate: Gate, error: BaseException, name: str
) -> None:
    def fail(*_: int) -> None:
        raise error

    tasks = [start(opened), start(opened, **{name: fail}), start(opened)]
    gate.open()
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(outcome, list) for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1], LookupError | RuntimeError)
    assert opened.engine.load().num_running == 0


async def test_a_failed_request_keeps_no_tensors(opened: Opened) -> None:
    kept: list[weakref.ref[torch.Tensor]] = []
    cancellation = Cancellation()

    def remember(_: object, __: object, output: object) -> None:
        kept.append(weakref.ref(output.logits))  # type: ignore[attr-defined]  # a network's output
        cancellation.cancel()

    opened.loaded.network.register_forward_hook(remember)
    task = start(opened, cancellation=cancellation)
    (error,) = await asyncio.gather(task, return_exceptions=True)
    gc.collect()
    assert isinstance(error, WithdrawnError)
    assert kept
    assert all(reference() is None for reference in kept)
