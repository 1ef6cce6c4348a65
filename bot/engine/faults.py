"""What the device's exceptions mean for a request.

torch raises RuntimeError for nearly everything and tells in its text what happened; the texts
are those of torch 2.11 to 2.13 (c10/core/CPUAllocator, c10/cuda/CUDAException, MPSAllocator).
"""

import torch

_MEMORY_TEXTS = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
_BROKEN_TEXTS = (
    "cuda error",
    "device-side assert",
    "cublas_status_",
    "cudnn_status_",
    "nccl error",
)


def is_memory_fault(error: BaseException) -> bool:
    """Whether the device had no memory left: a smaller request may succeed."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _says(error, _MEMORY_TEXTS)


def is_broken_device(error: BaseException) -> bool:
    """Whether the device cannot be used again in this process, as after a device-side assert."""
    if is_memory_fault(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and _says(error, _BROKEN_TEXTS)


def _says(error: BaseException, texts: tuple[str, ...]) -> bool:
    said = str(error).lower()
    return any(text in said for text in texts)
