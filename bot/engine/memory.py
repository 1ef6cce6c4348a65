"""Whether the weights of a checkpoint fit the memory of a device, told before they are loaded.

Importing this module imports torch (1.3 s).
"""

from dataclasses import dataclass

from bot.engine.checkpoint import Checkpoint
from bot.engine.device import Placement, available_bytes
from bot.engine.safetensors_header import read_header
from bot.errors import ModelError

_SLACK = 1.15  # activations and the allocator's own pieces, above the weights


@dataclass(frozen=True, slots=True)
class Demand:
    """What a checkpoint takes on a device, and what is free there (None: nobody tells)."""

    placement: Placement
    num_parameters: int
    free_bytes: int | None

    @property
    def needed_bytes(self) -> int:
        """The weights in the format that is computed with, with some slack.

        For int8 too: they are made 8 bits small one after the other when all are there.
        """
        return round(self.num_parameters * self.placement.dtype.itemsize * _SLACK)

    @property
    def shortage(self) -> ModelError | None:
        """What a person is told where it does not fit; None where it does."""
        if self.free_bytes is None or self.needed_bytes <= self.free_bytes:
            return None
        return ModelError(
            "The model needs {needed} MB of memory on {device}, where {available} MB are free: "
            "choose a smaller MODEL or DTYPE=bfloat16.",
            needed=round(self.needed_bytes / 1e6),
            available=round(self.free_bytes / 1e6),
            device=self.placement.device.type,
        )


def measure(checkpoint: Checkpoint, placement: Placement) -> Demand:
    """What `checkpoint` takes at `placement`; raises ModelError for weights that are cut off."""
    tensors = [tensor for path in checkpoint.weight_files for tensor in read_header(path)]
    return Demand(
        placement=placement,
        num_parameters=sum(tensor.num_elements for tensor in tensors),
        free_bytes=available_bytes(placement.device),
    )


def check_memory(checkpoint: Checkpoint, placement: Placement) -> None:
    """Raise ModelError where `checkpoint` does not fit."""
    shortage = measure(checkpoint, placement).shortage
    if shortage is not None:
        raise shortage
