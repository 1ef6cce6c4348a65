"""A token more for every sequence in slots: the same work in every step, whoever takes part.

What changes from step to step are the numbers in one tensor, so a CUDA graph can hold all of it;
without a graph the same code runs on a processor, where the tests compare it with the network's
own way. Importing this module imports torch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bot.engine.batching.cuda.slots import Slots, SlotSequence
from bot.engine.batching.network import Gpt2
from bot.engine.placement.transfer import on_device

SIZES = (1, 2, 4, 8, 16, 32, 64)  # in slots; a step takes the next larger one


class StaticDecode:
    """The step of the first `size` slots; `logits`: shape (size, num_ids), where they come to."""

    def __init__(self, network: Gpt2, slots: Slots, logits: Tensor) -> None:
        self.size = size = logits.shape[0]
        self.slots = slots
        self._network = network
        self._logits = logits
        device = slots.shape.device
        self._inputs = torch.zeros(3, size, dtype=torch.int64, device=device)  # see `set`
        self._rows = torch.arange(size, device=device)
        self._cells = torch.arange(slots.capacity, device=device)

    @torch.inference_mode()
    def set(self, taking_part: Sequence[tuple[int, SlotSequence]]) -> None:
        """Who gets which token in the next run: (token_id, its sequence), in the first slots.

        A slot is told its token's id, its place, and the cell for its keys and values.
        """
        ids, places = [0] * self.size, [0] * self.size
        cells = [self.slots.capacity - 1] * self.size  # nobody reads it
        for token_id, sequence in taking_part:
            ids[sequence.number] = token_id
            places[sequence.number] = cells[sequence.number] = sequence.length
        numbers = on_device([ids, places, cells], self._inputs.device)
        self._inputs.copy_(numbers, non_blocking=True)

    @torch.inference_mode()
    def run(self) -> Tensor:
        """Float32 logits (size, num_ids) by slot; good until the next run in these slots.

        Those of a slot that takes no part mean nothing. No sequence grows.
        """
        seen = self._cells <= self._inputs[1][:, None]
        unseen = torch.zeros_like(seen, dtype=self.slots.shape.dtype)
        unseen.masked_fill_(~seen, -torch.inf)

        def listen(number: int, mixed: Tensor) -> Tensor:
            return self._listen(number, mixed, unseen[:, None, None])

        states = self._network.through(self._inputs[:2], listen)
        return self._logits.copy_(self._network.logits(states))

    def _listen(self, number: int, mixed: Tensor, unseen: Tensor) -> Tensor:
        """See network.Listen; `unseen` is added to the scores, shape (size, 1, 1, capacity)."""
        kept = self.slots.kept[number]
        kept[:, self._rows, :, self._inputs[2]] = mixed[1:].permute(2, 0, 1, 3)
        queries, (keys, values) = mixed[0].transpose(0, 1)[:, :, None], kept[:, : self.size]
        heard = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=unseen)
        return heard[:, :, 0].transpose(0, 1)
