"""Whether the weights of a checkpoint fit the memory of a device, told before they are loaded.

Importing this module imports torch (1.3 s).
"""

from dataclasses import dataclass, replace

from bot.engine.checkpoints.checkpoint import Checkpoint, tensor_sizes
from bot.engine.placement.device import Placement, available_bytes, can_pack
from bot.errors import ModelError

_SLACK = 1.15  # activations and the allocator's own pieces, above the weights
# Our own network lays the matrices out anew, one after the other, which leaves holes in memory:
# loading DialoGPT's three sizes took 1.04 to 1.33 times the weights.
_OWN_SLACK = 1.35


@dataclass(frozen=True, slots=True)
class Demand:
    """What a checkpoint takes on a device, and what is free there (None: nobody tells).

    `num_copied`: the numbers that are kept a second time, laid out for a product.
    """

    placement: Placement
    num_parameters: int
    free_bytes: int | None
    num_copied: int = 0
    slack: float = _SLACK

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
    demand = Demand(
        placement=placement,
        num_parameters=sum(size for _, size in sizes),
        free_bytes=available_bytes(placement.device),
    )
    if not is_own or placement.device.type != "cpu":
        return demand
    # Words are looked up in the matrix as it is, and their logits are made with a copy of it.
    has_copy = placement.is_int8 or can_pack(placement.dtype)
    words = [size for name, size in sizes if name.endswith("wte.weight")]
    return replace(demand, num_copied=sum(words) if has_copy else 0, slack=_OWN_SLACK)


def check_memory(checkpoint: Checkpoint, placement: Placement, *, is_own: bool) -> None:
    """Raise ModelError where `checkpoint` does not fit; see `measure`."""
    shortage = measure(checkpoint, placement, is_own=is_own).shortage
    if shortage is not None:
        raise shortage
