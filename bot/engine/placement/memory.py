"""Whether the weights of a checkpoint fit the memory of a device, told before they are loaded.

Importing this module imports torch (1.3 s).
"""

from dataclasses import dataclass

from bot.engine.checkpoints.checkpoint import Checkpoint, tensor_sizes
from bot.engine.placement.device import Placement, available_bytes, can_pack
from bot.errors import ModelError

_SLACK = 1.15  # activations and the allocator's own pieces, above the weights
# The engine for GPT-2s copies the matrices into another layout, one by one, which leaves holes:
# loading DialoGPT's three sizes took 1.04 to 1.33 times the weights.
_OWN_SLACK = 1.35


@dataclass(frozen=True, slots=True)
class Demand:
    """What a checkpoint takes on a device, and what is free there (None: the system does not tell).

    `num_copied`: the numbers that are kept a second time, laid out for a product.
    """

    placement: Placement
    num_parameters: int
    free_bytes: int | None
    num_copied: int
    slack: float

    @property
    def weight_bytes(self) -> int:
        """The weights in the format that is computed with.

        For int8 too: they are made 8 bits small one after the other when all are there.
        """
        itemsize = self.placement.dtype.itemsize
        copied_itemsize = 1 if self.placement.is_int8 else itemsize
        return self.num_parameters * itemsize + self.num_copied * copied_itemsize

    @property
    def needed_bytes(self) -> int:
        """The weights with some slack."""
        return round(self.weight_bytes * self.slack)

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


def measure(checkpoint: Checkpoint, placement: Placement, *, is_own: bool) -> Demand:
    """What `checkpoint` takes at `placement`; raises ModelError for weights that are cut off.

    `is_own`: our own network runs it, not transformers.
    """
    sizes = [item for path in checkpoint.weight_files for item in tensor_sizes(path).items()]
    num_copied, slack = 0, _SLACK
    if is_own and placement.device.type == "cpu":
        slack = _OWN_SLACK
        if placement.is_int8 or can_pack(placement.dtype):
            # Tokens are looked up in wte as it is, and their logits are made with a copy of it.
            num_copied = sum(size for name, size in sizes if name.endswith("wte.weight"))
    num_parameters, free = sum(size for _, size in sizes), available_bytes(placement.device)
    return Demand(placement, num_parameters, free, num_copied, slack)


def check_memory(checkpoint: Checkpoint, placement: Placement, *, is_own: bool) -> None:
    """Raise ModelError where `checkpoint` does not fit; see `measure`."""
    shortage = measure(checkpoint, placement, is_own=is_own).shortage
    if shortage is not None:
        raise shortage
