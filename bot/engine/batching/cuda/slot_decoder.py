"""Passes of the network in which the replies that are being made take the fast way, by slots.

Importing this module imports torch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

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


class Step(Protocol):
    """The first `size` slots get a token more: a StaticDecode, or a graph of one."""

    @property
    def size(self) -> int:
        """How many slots."""
        ...

    def set(self, taking_part: Sequence[tuple[int, SlotSequence]]) -> None:
        """See StaticDecode.set."""
        ...

    def run(self) -> Tensor:
        """See StaticDecode.run."""
        ...


Prepare = Callable[[Sequence[StaticDecode]], Sequence[Step]]


@dataclass(frozen=True, slots=True)
class SlotGroup:
    """Slots of one capacity and their steps, the smallest first; the last has all slots."""

    slots: Slots
    steps: Sequence[Step]

    def step_for(self, num_slots: int) -> Step:
        """The smallest step of the first `num_slots` slots."""
        return next(step for step in self.steps if step.size >= num_slots)


class Decoder:
    """Runs pieces as Gpt2.forward does; those of one token in a slot go the static way.

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
        """Those of `capacities`, each of a sequence that is to come, for which no slot is free."""
        free = [group.slots.num_free for group in self.groups]
        left_over = []
        for capacity in capacities:
            fitting = (i for i, group in enumerate(self.groups) if group.slots.capacity > capacity)
            number = next((i for i in fitting if free[i]), None)
            if number is None:
                left_over.append(capacity)
            else:
                free[number] -= 1
        return left_over

    def has_slot(self, capacity: int) -> bool:
        """Whether a slot for `capacity` tokens is free."""
        return not self.without_slot([capacity])

    def seat(self, sequence: KvSequence, capacity: int) -> KvSequence:
        """A copy of `sequence` in a slot for `capacity` tokens; itself where none is free."""
        for group in self.groups:
            if group.slots.capacity > capacity and (seated := group.slots.take()) is not None:
                seated.keys[:, :, : sequence.length] = sequence.keys[:, :, : sequence.length]
                seated.values[:, :, : sequence.length] = sequence.values[:, :, : sequence.length]
                seated.length = sequence.length
                return seated
        return sequence

    @torch.inference_mode()
    def forward(self, pieces: Sequence[Piece]) -> Tensor:
        """See Gpt2.forward. The logits are good until the next call."""
        numbers = {id(piece): n for n, piece in enumerate(p for p in pieces if p.wants_logits)}
        found, order, others, grown = list[Tensor](), list[int](), list(pieces), list[_Next]()
        for group in self.groups:
            if nexts := _nexts(others, group.slots):
                found.append(_decode(group, nexts))
                order += [numbers[id(one.piece)] for one in nexts]
                gone = {id(one.piece) for one in nexts}
                others = [piece for piece in others if id(piece) not in gone]
                grown += nexts
        if others:
            found.append(self._network.forward(others))
            order += [numbers[id(piece)] for piece in others if piece.wants_logits]
        for one in grown:  # last: what has raised has changed nothing
            one.sequence.length += 1
        rows = found[0] if len(found) == 1 else torch.cat(found)
        return _taken(rows, sorted(range(len(order)), key=order.__getitem__))


@dataclass(frozen=True, slots=True)
class _Next:
    """A piece of one token for a sequence in a slot."""

    piece: Piece
    sequence: SlotSequence


def _nexts(pieces: Iterable[Piece], slots: Slots) -> list[_Next]:
    return [
        _Next(piece, piece.sequence)
        for piece in pieces
        if len(piece.ids) == 1
        and piece.wants_logits
        and isinstance(piece.sequence, SlotSequence)
        and piece.sequence.slots is slots
    ]


def _decode(group: SlotGroup, nexts: Sequence[_Next]) -> Tensor:
    """The logits (num_nexts, num_ids) after each of `nexts`."""
    sequences = [one.sequence for one in nexts]
    highest = max(sequences, key=lambda sequence: sequence.number)
    num_taken = group.slots.num_slots - group.slots.num_free
    if group.step_for(num_taken).size < group.step_for(highest.number + 1).size:
        group.slots.lower(highest)  # a smaller step would do, were it not for a slot high up
    step = group.step_for(1 + max(sequence.number for sequence in sequences))
    step.set([(one.piece.ids[0], one.sequence) for one in nexts])
    return _taken(step.run(), [sequence.number for sequence in sequences])


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
        num_slots = min(fitting, limits.num_rows)
        left -= num_slots * slot_bytes
        plans.append((num_slots, capacity))
    return [(num_slots, capacity) for num_slots, capacity in plans if num_slots]


def make_decoder(network: Gpt2, plans: Iterable[tuple[int, int]], prepare: Prepare) -> Decoder:
    """A decoder with slots of `plans`, as from plan_slots; `prepare` may capture its steps."""
    groups = []
    for num_slots, capacity in plans:
        slots = Slots(network.cache_shape, num_slots, capacity)
        sizes = sorted({size for size in SIZES if size < num_slots} | {num_slots})
        # beside the graphs: what one of them has made must outlast the run of another
        logits = torch.empty(num_slots, network.shape.num_ids, device=network.cache_shape.device)
        steps = prepare([StaticDecode(network, slots, logits[:size]) for size in sizes])
        groups.append(SlotGroup(slots, steps))
    return Decoder(network, groups)
