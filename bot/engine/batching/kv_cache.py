"""Keys and values of the tokens that a sequence has passed, kept between the turns of a dialogue.

Importing this module imports torch.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

_ROUND_TO = 32  # capacities are rounded up: a kept sequence soon has room for its next turn
_MIN_SHARED = 8  # copying fewer tokens than these costs as much as making them


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What one token's keys and values are."""

    num_layers: int
    num_heads: int
    head_width: int
    dtype: torch.dtype
    device: torch.device

    @property
    def token_bytes(self) -> int:
        """Bytes of one token: a key and a value in every layer."""
        return 2 * self.num_layers * self.num_heads * self.head_width * self.dtype.itemsize

    def num_bytes(self, capacity: int) -> int:
        """Bytes of a sequence with room for `capacity` tokens."""
        return _rounded(capacity) * self.token_bytes


class KvSequence:
    """The keys and values of `length` tokens, with room for `capacity`.

    `keys`, `values`: shape (num_layers, num_heads, capacity, head_width).
    """

    def __init__(self, shape: CacheShape, capacity: int) -> None:
        self.shape = shape
        self.capacity = _rounded(capacity)
        self.length = 0
        sizes = (shape.num_layers, shape.num_heads, self.capacity, shape.head_width)
        self.keys = torch.empty(sizes, dtype=shape.dtype, device=shape.device)
        self.values = torch.empty(sizes, dtype=shape.dtype, device=shape.device)

    @property
    def num_bytes(self) -> int:
        """Bytes that it holds, its empty room included."""
        return self.capacity * self.shape.token_bytes

    @property
    def is_sound(self) -> bool:
        """Whether what it holds is finite."""
        kept = (self.keys[:, :, : self.length], self.values[:, :, : self.length])
        return bool(torch.stack([torch.isfinite(tensor).all() for tensor in kept]).all())

    def out_of_slot(self) -> "KvSequence":
        """Itself, or what a sequence in a slot holds in memory of its own, for the next turn."""
        return self

    def copy(self, length: int, capacity: int) -> "KvSequence":
        """The first `length` tokens in a sequence of their own."""
        other = KvSequence(self.shape, capacity)
        other.fill(self, length)
        return other

    def fill(self, other: "KvSequence", length: int) -> None:
        """Hold the first `length` tokens of `other`, and nothing else."""
        self.keys[:, :, :length] = other.keys[:, :, :length]
        self.values[:, :, :length] = other.values[:, :, :length]
        self.length = length


@dataclass(slots=True)
class _Resident:
    ids: tuple[int, ...]
    sequence: KvSequence


class PrefixCache:
    """Sequences that no job runs now, for the next turn of their dialogue; least used go first.

    Used by the engine's thread only. `num_bytes` never stays above `max_bytes`. `num_erasures`:
    how many erasures it has followed; what it keeps was read after all of them.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self.num_erasures = 0
        self._residents: OrderedDict[str, _Resident] = OrderedDict()

    def __len__(self) -> int:
        return len(self._residents)

    def take(self, key: str, ids: Sequence[int], shape: CacheShape, capacity: int) -> KvSequence:
        """A sequence for `ids` with room for `capacity` tokens, with the longest known prefix.

        The dialogue `key` gives its own sequence away; another one's prefix (a branch, the same
        first words) is copied. At least the last of `ids` is left to be run: its logits are
        wanted.
        """
        best_key, shared = self._best(key, tuple(ids[:-1]))
        if best_key is None:
            return KvSequence(shape, capacity)
        if best_key != key:
            self._residents.move_to_end(best_key)
            return self._residents[best_key].sequence.copy(shared, max(shared, capacity))
        own = self._pop(key).sequence
        if own.capacity < capacity:
            return own.copy(shared, capacity)
        own.length = shared
        return own

    def put(self, key: str, ids: Sequence[int], sequence: KvSequence) -> None:
        """Keep `sequence`, which holds the keys and values of `ids`, for the dialogue `key`."""
        if key in self._residents:
            self._pop(key)
        if not key or sequence.num_bytes > self.max_bytes:
            return
        self._residents[key] = _Resident(tuple(ids[: sequence.length]), sequence)
        self.num_bytes += sequence.num_bytes
        self.shrink(self.max_bytes)

    def erase(self, num_erasures: int) -> None:
        """Keep nothing of what was read before the newest of `num_erasures` erasures."""
        if num_erasures > self.num_erasures:
            self.num_erasures = num_erasures
            self.shrink(0)

    def shrink(self, max_bytes: int) -> None:
        """Drop what was least used until at most `max_bytes` are held; below zero, everything."""
        while self._residents and self.num_bytes > max_bytes:
            self._pop(next(iter(self._residents)))

    def _pop(self, key: str) -> _Resident:
        resident = self._residents.pop(key)
        self.num_bytes -= resident.sequence.num_bytes
        return resident

    def _best(self, key: str, wanted: tuple[int, ...]) -> tuple[str | None, int]:
        """Which dialogue shares most of `wanted`, and how many tokens; at a tie its own."""
        best: str | None = None
        most = _MIN_SHARED - 1
        for name in (key, *self._residents):
            ids = self._residents[name].ids if name in self._residents else ()
            if ids[: most + 1] == wanted[: most + 1] and (n := shared_length(ids, wanted)) > most:
                best, most = name, n
        return best, most


def _rounded(capacity: int) -> int:
    return -(-capacity // _ROUND_TO) * _ROUND_TO


def shared_length(ids: tuple[int, ...], others: tuple[int, ...]) -> int:
    """How many tokens at the start are the same; tuples are compared piecewise, in C."""
    low, high = 0, min(len(ids), len(others))
    while low < high:
        middle = (low + high + 1) // 2
        if ids[low:middle] == others[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
