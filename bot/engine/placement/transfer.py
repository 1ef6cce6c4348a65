"""Python's numbers on a device, without waiting for what the device is doing.

Importing this module imports torch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def on_device(
    numbers: Sequence[float] | Sequence[Sequence[float]],
    device: torch.device,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """`numbers` as a tensor of their shape; int64 for whole numbers where `dtype` is not given."""
    if device.type != "cuda" or not numbers:
        return torch.tensor(numbers, dtype=dtype, device=device)
    # A copy from pageable memory waits until everything before it is done; from pinned memory it
    # is only put in line, and torch does not reuse that memory until the copy is through.
    return torch.tensor(numbers, dtype=dtype, pin_memory=True).to(device, non_blocking=True)
