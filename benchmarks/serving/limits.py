"""What this machine can do at best, measured, and the fewest seconds that a workload takes then.

Williams et al. 2009, "Roofline: an insightful visual performance model for multicore
architectures". Importing this module imports torch.
"""

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import transformers
from torch.nn import functional

from benchmarks.serving.shapes import ModelShape
from benchmarks.serving.workload import Ask
from bot.engine.batching.linear import make_linear
from bot.engine.placement.device import available_bytes

MAX_READ_BYTES = 2**29  # beyond every cache
GPU_READ_BYTES = 2**32  # beside which the launch of a kernel is nothing
SECONDS = 1.0  # of each measurement
ROWS, WIDTH, INNER = 512, 1024, 4096  # a prompt in DialoGPT-medium's largest matrix
GPU_ROWS, GPU_WIDTH, GPU_INNER = 8192, 4096, 8192  # a prompt alone would not fill a GPU
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where was measured. `operations_per_second`: of the largest matrices, by number format."""

    processor: str
    device: str
    num_threads: int
    torch: str
    transformers: str
    read_bytes_per_second: float
    operations_per_second: dict[str, float]


def examine_machine(device: torch.device, dtypes: Sequence[str], num_bytes: int) -> Machine:
    """Measure `device`; like `num_bytes` of weights, so much is read again and again.

    On a GPU more is read: a small model would stay in its cache, and the bound would not be one.
    """
    on_gpu = device.type == "cuda"
    num_read = min(num_bytes, MAX_READ_BYTES)
    if on_gpu:
        num_read = min(GPU_READ_BYTES, (available_bytes(device) or GPU_READ_BYTES) // 4)
    return Machine(
        processor=torch.cuda.get_device_name(device) if on_gpu else _processor(),
        device=str(device),
        num_threads=torch.get_num_threads(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        read_bytes_per_second=_read_rate(device, num_read),
        operations_per_second={name: _operation_rate(device, name) for name in dtypes},
    )


def least_seconds(shape: ModelShape, dtype: str, asks: Sequence[Ask], machine: Machine) -> float:
    """How long `asks` take if they all run at once and nothing but memory and arithmetic counts.

    Prompts are bound by arithmetic. A step afterwards reads all weights once and what the
    replies in it have in the KV cache; or its arithmetic takes longer.
    """
    item_bytes = _dtype(dtype).itemsize
    # nothing here measures arithmetic with whole numbers: the fastest stands for it
    rates = machine.operations_per_second
    rate = rates.get(dtype, max(rates.values()))
    num_prompt = sum(len(ask.prompt_ids) for ask in asks)
    # the first token of a reply comes from its prompt
    steps = [ask.params.max_new_tokens - 1 for ask in asks]
    cached = sum(
        len(ask.prompt_ids) * num + num * (num + 1) // 2
        for ask, num in zip(asks, steps, strict=True)
    )
    read = max(steps) * shape.num_step_weights + cached * shape.num_token_numbers
    reading = read * item_bytes / machine.read_bytes_per_second
    counting = 2 * sum(steps) * shape.num_step_weights / rate
    return 2 * num_prompt * shape.num_matrix_weights / rate + max(reading, counting)


def most_tokens_per_second(shape: ModelShape, dtype: str, machine: Machine) -> float:
    """Tokens of one reply in a second, where reading the weights were all there is."""
    num_bytes = shape.num_step_weights * _dtype(dtype).itemsize
    return machine.read_bytes_per_second / num_bytes


def _read_rate(device: torch.device, num_bytes: int) -> float:
    """Bytes read in a second, of the better of two ways to read and hardly count."""
    numbers = torch.ones(max(1, num_bytes // 4), device=device)
    size = numbers.numel() * numbers.itemsize
    return max(size / _fastest(way, device) for way in (numbers.sum, numbers.amax))


def _operation_rate(device: torch.device, dtype: str) -> float:
    """Multiplications and additions in a second, of the better of two layouts."""
    on_gpu = device.type == "cuda"
    rows, width, inner = (GPU_ROWS, GPU_WIDTH, GPU_INNER) if on_gpu else (ROWS, WIDTH, INNER)
    x = torch.ones(rows, width, dtype=_dtype(dtype), device=device)
    weight = torch.ones(inner, width, dtype=_dtype(dtype), device=device)
    ways = (partial(functional.linear, weight=weight), make_linear(weight))
    seconds = min(_fastest(partial(way, x), device) for way in ways)
    return 2 * rows * width * inner / seconds


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of a run that only a tenth of all are faster than.

    What else goes on here only slows down; but the very fastest may be a neighbour's pause.
    """
    seconds, end = list[float](), time.perf_counter() + SECONDS
    while (begun := time.perf_counter()) < end:
        with torch.inference_mode():
            work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begun)
    return sorted(seconds)[len(seconds) // 10]


def _processor() -> str:
    lines = _CPU_INFO.read_text().splitlines() if _CPU_INFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name)
    if not isinstance(found, torch.dtype):
        raise TypeError(f"{name} is no number format")
    return found
