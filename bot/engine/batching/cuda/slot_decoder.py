"""Passes of the network in which the replies that are being made take the fast way, by slots.

Importing this module imports torch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bot.engine.batching.cuda.slots import Slots, SlotSequence
from bot.engine.batching.cuda.static_decode import SIZES, StaticDecode
from bot.engine.batching.kv_cache import CacheShape, KvSequence
from bot.engine.batching.network import Gpt2, Piece
from bot.engine.checks import EngineLimits
from bot.engine.placement.transfer import on_device

# A context of the default 256 tokens and a reply of the default 64 have room in a short slot.
SHORT_CAPACITY = 384
_ALIGNMENT = 32  # attention's kernels want masks of a multiple of 8
_SLOTS_SHARE = 0.75  # of the memory for keys and values; the rest keeps prefixes
_SHORT_SHARE = 2 / 3  # of that


# Captures steps, where the device can: see graphs.Capture.
Prepare = Callable[[Sequence[StaticDecode]], object]


@dataclass(frozen=True, slots=True)
class SlotGroup:
    """Slots of one capacity and their steps, the smallest first; the last has all slots."""

    slots: Slots
    steps: Sequence[StaticDecode]

    def step_for(self, num_slots: int) -> StaticDecode:
        """The smallest step of the first `num_slots` slots."""
        return next(step for step in self.steps if step.size >= num_slots)

    def decode(self, pieces: Sequence[Piece]) -> Tensor:
        """The logits (num_pieces, num_ids) after `pieces` of one token, each of a slot of these.

        The sequences do not grow yet.
        """
        sequences = [one for piece in pieces if isinstance(one := piece.sequence, SlotSequence)]
        highest = max(sequences, key=lambda sequence: sequence.number)
        num_taken = self.slots.num_slots - self.slots.num_free
        if self.step_for(num_taken).size < self.step_for(highest.number + 1).size:
            self.slots.lower(highest)  # a smaller step would do, were it not for a slot high up
        step = self.step_for(1 + max(sequence.number for sequence in sequences))
        ids = [piece.ids[0] for piece in pieces]
        step.set(list(zip(ids, sequences, strict=True)))
        return _taken(step.run(), [sequence.number for sequence in sequences])


class SlotDecoder:
    """Implements Decoder: pieces of one token in a slot go the static way.

    The rest (chunks of prompts, and replies for which no slot was free) goes the network's own.
    """

    def __init__(self, network: Gpt2, groups: Sequence[SlotGroup]) -> None:
        self._network = network
        self.groups = tuple(sorted(groups, key=lambda group: group.slots.capacity))

    @property
    def num_bytes(self) -> int:
        """Bytes of all slots, taken or not."""
        return sum(group.slots.num_bytes for group in self.groups)

    def without_slot(self, capacities: Iterable[int]) -> list[int]:
        """See Decoder."""
        free = [group.slots.num_free for group in self.groups]
        left_over = []
        for capacity in capacities:
            for number, group in enumerate(self.groups):
                if free[number] and group.slots.capacity > capacity:
                    free[number] -= 1
                    break
            else:
                left_over.append(capacity)
        return left_over

    def into_slot(self, sequence: KvSequence, capacity: int) -> KvSequence:
        """See Decoder."""
        for group in self.groups:
            if group.slots.capacity > capacity and (seated := group.slots.take()) is not None:
                seated.fill(sequence, sequence.length)
                return seated
        return sequence

    @torch.inference_mode()
    def forward(self, pieces: Sequence[Piece]) -> Tensor:
        """See Decoder."""
        groups = [self._group(piece) for piece in pieces]
        found, order = list[Tensor](), list[int]()
        for group in (*self.groups, None):  # the network last: its sequences grow at once
            numbers = [n for n, other in enumerate(groups) if other is group]
            chosen = [pieces[n] for n in numbers]
            if chosen:
                found.append(group.decode(chosen) if group else self._network.forward(chosen))
                order += [n for n in numbers if pieces[n].wants_logits]
        for piece, group in zip(pieces, groups, strict=True):
            if group is not None:  # what has raised before has changed nothing
                piece.sequence.length += 1
        rows = found[0] if len(found) == 1 else torch.cat(found)
        return _taken(rows, sorted(range(len(order)), key=order.__getitem__))

    def _group(self, piece: Piece) -> SlotGroup | None:
        """The slots in which `piece` is the next token of a reply; None for any other piece."""
        sequence = piece.sequence
        if len(piece.ids) > 1 or not piece.wants_logits or not isinstance(sequence, SlotSequence):
            return None
        return next((group for group in self.groups if group.slots is sequence.slots), None)


def _taken(rows: Tensor, numbers: Sequence[int]) -> Tensor:
    if list(numbers) == list(range(len(numbers))):
        return rows[: len(numbers)]
    return rows[on_device(numbers, rows.device)]


def plan_slots(shape: CacheShape, window: int, limits: EngineLimits) -> list[tuple[int, int]]:
    """(num_slots, capacity) of every group that `limits` leave room for.

    Most slots are short: a slot of DialoGPT-medium's whole window takes 100 MB.
    """
    longest = -(-(window + 1) // _ALIGNMENT) * _ALIGNMENT
    shares = {SHORT_CAPACITY: _SHORT_SHARE} if longest > SHORT_CAPACITY else {}
    left, plans = round(limits.cache_bytes * _SLOTS_SHARE), []
    for capacity, share in (shares | {longest: 1.0}).items():
        slot_bytes = capacity * shape.token_bytes
        fitting = max(int(left * share) // slot_bytes, min(left // slot_bytes, 1))
        if num_slots := min(fitting, limits.num_rows):
            left -= num_slots * slot_bytes
            plans.append((num_slots, capacity))
    return plans


def make_decoder(network: Gpt2, plans: Iterable[tuple[int, int]], prepare: Prepare) -> SlotDecoder:
    """A decoder with slots of `plans`, as from plan_slots; `prepare` may capture its steps."""
    groups = []
    for num_slots, capacity in plans:
        slots = Slots(network.cache_shape, num_slots, capacity)
        sizes = sorted({size for size in SIZES if size < num_slots} | {num_slots})
        # beside the graphs: what one of them has made must outlast the run of another
        logits = torch.empty(num_slots, network.shape.num_ids, device=network.cache_shape.device)
        steps = [StaticDecode(network, slots, logits[:size]) for size in sizes]
        prepare(steps)
        groups.append(SlotGroup(slots, steps))
    return SlotDecoder(network, groups)
