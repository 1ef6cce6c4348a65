"""What the network says of given tokens: how likely passages are, and how a text goes on.

Importing this module imports torch.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bot.engine.batching.kv_cache import KvSequence
from bot.engine.batching.network import Gpt2, Piece
from bot.engine.errands import Steps
from bot.engine.protocol import Passage
from bot.engine.sampling.letters import WholeLetters
from bot.engine.sampling.logprobs import Logprobs, logprobs_from

STEP_TOKENS = 512  # of a step: replies wait no longer for it than for a chunk of a prompt
_SLICE_TOKENS = 64  # logits are made for so many at once: DialoGPT's take 200 kB a token


def score_steps(network: Gpt2, passages: Sequence[Passage]) -> Steps[list[Logprobs]]:
    """See Engine.score; a step for every STEP_TOKENS. Raises NumericError."""
    scored: list[Logprobs] = []
    for group in _groups(passages):
        # nothing follows the last one of a passage
        pieces = [network.piece((*one.prompt_ids, *one.ids[:-1])) for one in group]
        hidden = network.read(pieces)
        for passage, states in zip(group, hidden, strict=True):
            scored.append(_logprobs(network, passage, states))
        yield
    return scored


@torch.inference_mode()
def _logprobs(network: Gpt2, passage: Passage, hidden: Tensor) -> Logprobs:
    """From the hidden states (num_tokens, width) of all of a passage's tokens but the last."""
    hidden = hidden[len(passage.prompt_ids) - 1 :]
    logprobs: list[float] = []
    for start in range(0, len(passage.ids), _SLICE_TOKENS):
        logits = network.logits(hidden[start : start + _SLICE_TOKENS])
        logprobs += logprobs_from(logits, passage.ids[start : start + _SLICE_TOKENS])
    return tuple(logprobs)


def _groups(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    """Neighbours of at most STEP_TOKENS together; a longer one is alone."""
    group: list[Passage] = []
    num_tokens = 0
    for passage in passages:
        size = len(passage.prompt_ids) + len(passage.ids)
        if group and num_tokens + size > STEP_TOKENS:
            yield group
            group, num_tokens = [], 0
        group.append(passage)
        num_tokens += size
    if group:
        yield group


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
        *,
        letters: WholeLetters | None = None,
    ) -> None:
        self._network = network
        self.end_ids = end_ids
        self.letters = letters
        self.window = network.shape.window
        self.num_layers = network.shape.num_layers
        self._capacity = min(capacity, self.window)
        self._step_tokens = step_tokens
        self._sequence: KvSequence | None = None  # takes memory: made at the first step

    def read(self, ids: Sequence[int]) -> Steps[Tensor]:
        """See TextReader."""
        if self._sequence is None:
            self._sequence = KvSequence(self._network.cache_shape, self._capacity)
        while True:
            piece = self._next_piece(ids, self._sequence)
            logits = self._network.forward([piece])
            if self._sequence.length == len(ids):
                return logits[-1:]
            yield

    def attention(self, ids: Sequence[int], layer: int) -> Steps[list[list[float]] | None]:
        """See TextReader."""
        self._sequence = None  # nothing goes on from it: give its memory back
        sequence = KvSequence(self._network.cache_shape, len(ids))
        rows: list[list[float]] = []
        while sequence.length < len(ids):
            heads = self._network.attention(self._next_piece(ids, sequence), layer - 1)
            unseen = [0.0] * (len(ids) - sequence.length)
            rows += [weights + unseen for weights in heads.mean(dim=0).tolist()]
            yield
        return rows

    def _next_piece(self, ids: Sequence[int], sequence: KvSequence) -> Piece:
        start = sequence.length
        return Piece(ids[start : start + self._step_tokens], sequence)
