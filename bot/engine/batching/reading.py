"""Reads one growing text with the network, for next-word prediction."""

from collections.abc import Sequence

from torch import Tensor

from bot.engine.batching.kv_cache import KvSequence
from bot.engine.batching.network import Gpt2, Piece
from bot.engine.errands import Steps

STEP_TOKENS = 512  # of a text: replies wait no longer for it than for a chunk of a prompt


class Gpt2Reader:
    """Implements TextReader with our own network; a text has at most `capacity` tokens.

    `step_tokens`: the most that are read between two steps of the replies.
    """

    def __init__(
        self,
        network: Gpt2,
        end_ids: Sequence[int],
        capacity: int,
        step_tokens: int = STEP_TOKENS,
    ) -> None:
        self._network = network
        self.end_ids = end_ids
        self.window = network.shape.window
        self.num_layers = network.shape.num_layers
        self._capacity = min(capacity, self.window)
        self._step_tokens = step_tokens
        self._read: KvSequence | None = None  # takes memory, so only once it is our turn

    def read(self, ids: Sequence[int]) -> Steps[Tensor]:
        """See TextReader."""
        if self._read is None:
            self._read = KvSequence(self._network.cache_shape, self._capacity)
        while True:
            piece = self._next_piece(ids, self._read)
            logits = self._network.forward([piece])
            if self._read.length == len(ids):
                return logits[-1:]
            yield

    def attention(self, ids: Sequence[int], layer: int) -> Steps[list[list[float]] | None]:
        """See TextReader."""
        self._read = None  # nothing goes on from it: give its memory back
        sequence = KvSequence(self._network.cache_shape, len(ids))
        rows: list[list[float]] = []
        while sequence.length < len(ids):
            heads = self._network.attention(self._next_piece(ids, sequence), layer - 1)
            unseen = [0.0] * (len(ids) - sequence.length)
            rows += [shares + unseen for shares in heads.mean(dim=0).tolist()]
            yield
        return rows

    def _next_piece(self, ids: Sequence[int], sequence: KvSequence) -> Piece:
        start = sequence.length
        return Piece(ids[start : start + self._step_tokens], sequence)
