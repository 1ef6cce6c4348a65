"""A token more for every sequence in slots: the same work in every step, whichever take part.

What changes from step to step are the numbers in one tensor, so a CUDA graph can hold all of it;
without a graph the same code runs on a processor, where the tests compare it with the network's
own way. Importing this module imports torch.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from bot.engine.batching.cuda.slots import Slots, SlotSequence
from bot.engine.batching.network import Gpt2
from bot.engine.placement.transfer import on_device

SIZES = (1, 2, 4, 8, 16, 32, 64)  # in slots; a step takes the next larger one


class StaticDecode:
    """The step of the first `size` slots; `logits`: shape (size, num_ids), where they come to.

    `replay`, once there is one, does again what `compute` did when it was captured.
    """

    def __init__(self, network: Gpt2, slots: Slots, logits: Tensor) -> None:
        self.size = size = logits.shape[0]
        self.slots = slots
        self.replay: Callable[[], object] | None = None
        self._network = network
        self._logits = logits
        device = slots.shape.device
        self._inputs = torch.zeros(3, size, dtype=torch.int64, device=device)  # see `set`
        self._rows = torch.arange(size, device=device)
        self._cells = torch.arange(slots.capacity, device=device)

    @torch.inference_mode()
    def set(self, taking_part: Sequence[tuple[int, SlotSequence]]) -> None:
        """The tokens of the next run, each with its sequence; these are in the first slots.

        A slot is told its token's id, its position, and the cell for its keys and values.
        """
        ids, positions = [0] * self.size, [0] * self.size
        cells = [self.slots.capacity - 1] * self.size  # never read
        for token_id, sequence in taking_part:
            ids[sequence.number] = token_id
            positions[sequence.number] = cells[sequence.number] = sequence.length
        numbers = on_device([ids, positions, cells], self._inputs.device)
        self._inputs.copy_(numbers, non_blocking=True)

    def run(self) -> Tensor:
        """Float32 logits (size, num_ids) by slot; good until the next run in these slots.

        Those of a slot that takes no part mean nothing. No sequence grows.
        """
        if self.replay is None:
            self.compute()
        else:
            self.replay()
        return self._logits

    @torch.inference_mode()
    def compute(self) -> None:
        """Run without a graph."""
        seen = self._cells <= self._inputs[1][:, None]
        zeros = torch.zeros_like(seen, dtype=self.slots.shape.dtype)
        mask = zeros.masked_fill_(~seen, -torch.inf)[:, None, None]

        def attention(layer: int, qkv: Tensor) -> Tensor:
            kept = self.slots.kept[layer]
            kept[:, self._rows, :, self._inputs[2]] = qkv[1:].permute(2, 0, 1, 3)
            queries, (keys, values) = qkv[0].transpose(0, 1)[:, :, None], kept[:, : self.size]
            output = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
            return output[:, :, 0].transpose(0, 1)

        hidden = self._network.through(self._inputs[:2], attention)
        self._logits.copy_(self._network.logits(hidden))
