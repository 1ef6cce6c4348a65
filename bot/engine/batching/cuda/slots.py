"""Places of a fixed size for the keys and values of running replies, in memory that never moves.

A CUDA graph writes and reads where it did when it was captured. Importing this module imports
torch.
"""

import weakref
from collections import deque
from heapq import heappop, heappush

import torch

from bot.engine.batching.kv_cache import CacheShape, KvSequence


class Slots:
    """`num_slots` places for sequences of fewer than `capacity` tokens.

    `kept`: keys, then values, of the shape (num_layers, 2, num_slots, num_heads, capacity,
    head_width). The last cell of a slot takes what is written for a slot that has no part in a
    step; it is never read. All of a slot is finite for as long as its sequence is: what is masked
    is multiplied by zero, and zero times NaN is NaN.
    """

    def __init__(self, shape: CacheShape, num_slots: int, capacity: int) -> None:
        self.shape = shape
        self.num_slots = num_slots
        self.capacity = capacity
        sizes = (shape.num_layers, 2, num_slots, shape.num_heads, capacity, shape.head_width)
        self.kept = torch.zeros(sizes, dtype=shape.dtype, device=shape.device)
        self._free = list(range(num_slots))
        self._given_back: deque[int] = deque()  # a sequence may be freed in any thread

    @property
    def num_bytes(self) -> int:
        """Bytes of all slots."""
        return self.kept.nbytes

    @property
    def num_free(self) -> int:
        """Slots without a sequence."""
        self._collect()
        return len(self._free)

    def take(self) -> "SlotSequence | None":
        """An empty sequence in the lowest free slot, cleaned; None where all are taken."""
        self._collect()
        if not self._free:
            return None
        number = heappop(self._free)
        self.kept[:, :, number].zero_()
        return SlotSequence(self, number)

    def lower(self, sequence: "SlotSequence") -> None:
        """Move `sequence` to the lowest free slot, where that is below its own."""
        self._collect()
        if not self._free or self._free[0] > sequence.number:
            return
        number = heappop(self._free)
        self.kept[:, :, number] = self.kept[:, :, sequence.number]
        heappush(self._free, sequence.number)
        sequence.move_to(number)

    def give_back(self, number: int) -> None:
        """Let the slot be taken again; for any thread."""
        self._given_back.append(number)

    def _collect(self) -> None:
        while self._given_back:
            heappush(self._free, self._given_back.popleft())


class SlotSequence(KvSequence):
    """A sequence in a slot, which is given back when the sequence is garbage."""

    def __init__(self, slots: Slots, number: int) -> None:
        self.slots = slots
        self.shape = slots.shape
        self.capacity = slots.capacity - 1
        self.length = 0
        self._use(number)

    @property
    def num_bytes(self) -> int:
        """Nothing beyond the slots' own."""
        return 0

    def out_of_slot(self) -> KvSequence:
        """A copy: slots are for replies that are running."""
        return self.copy(self.length, self.length)

    def move_to(self, number: int) -> None:
        """Be in the slot `number` from now on; the caller gives the old one back."""
        self._finalizer.detach()
        self._use(number)

    def _use(self, number: int) -> None:
        self.number = number
        self.keys, self.values = self.slots.kept[:, :, number].unbind(1)
        self._finalizer = weakref.finalize(self, self.slots.give_back, number)
        self._finalizer.atexit = False  # the slot is not taken again
