"""Places of a fixed size for the keys and values of running replies, in memory that never moves.

A CUDA graph writes and reads where it did when it was captured. Importing this module imports
torch.
"""

import weakref
from collections import deque
from heapq import heapify, heappop, heappush

import torch

from bot.engine.batching.kv_cache import CacheShape, KvSequence


class Slots:
    """`num_slots` places for sequences of fewer than `capacity` tokens.

    `kept`: keys, then values, of the shape (num_layers, 2, num_slots, num_heads, capacity,
    head_width). The last cell of a slot takes what is written for a slot that has no part in a
    step; nobody reads it. All of a slot is finite for as long as its sequence is: what is masked is
    multiplied by zero, and zero times NaN would be heard.
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
        """Slots that nobody has."""
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
        sequence.settle(number)

    def give_back(self, number: int) -> None:
        """Let the slot be taken again; for any thread."""
        self._given_back.append(number)

    def _collect(self) -> None:
        while self._given_back:
            self._free.append(self._given_back.popleft())
            heapify(self._free)


class SlotSequence(KvSequence):
    """A sequence in a slot, which is given back when nobody holds the sequence any more."""

    def __init__(self, slots: Slots, number: int) -> None:
        self.slots = slots
        self.shape = slots.shape
        self.capacity = slots.capacity - 1
        self.length = 0
        self._be_in(number)

    @property
    def num_bytes(self) -> int:
        """Nothing beyond the slots' own."""
        return 0

    def settle(self, number: int) -> None:
        """Be in the slot `number` from now on; the old one is somebody else's to give back."""
        self._leaving.detach()
        self._be_in(number)

    def _be_in(self, number: int) -> None:
        self.number = number
        self.keys, self.values = self.slots.kept[:, :, number].unbind(1)
        self._leaving = weakref.finalize(self, self.slots.give_back, number)
        self._leaving.atexit = False  # there is nobody left to take it
