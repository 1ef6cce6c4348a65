"""How likely given tokens are under the model: what ranks candidates.

Importing this module imports torch.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bot.engine.batching.kv_cache import KvSequence
from bot.engine.batching.network import Gpt2, Piece
from bot.engine.errands import Steps
from bot.engine.protocol import Passage
from bot.engine.sampling.logprobs import Logprobs, logprobs_from

STEP_TOKENS = 512  # of a step: replies wait no longer for it than for a chunk of a prompt
_SLICE_TOKENS = 64  # logits are made for so many at once: DialoGPT's take 200 kB a token


def score_steps(network: Gpt2, passages: Sequence[Passage]) -> Steps[list[Logprobs]]:
    """See Engine.score; a step for every STEP_TOKENS. Raises NumericError."""
    scored: list[Logprobs] = []
    for group in _groups(passages):
        hidden = network.read([_piece(network, passage) for passage in group])
        for passage, states in zip(group, hidden, strict=True):
            scored.append(logprobs_of(passage, states, network))
        yield
    return scored


def _piece(network: Gpt2, passage: Passage) -> Piece:
    ids = (*passage.prompt_ids, *passage.ids[:-1])  # nothing follows the last one
    return Piece(ids, KvSequence(network.cache_shape, len(ids)))


@torch.inference_mode()
def logprobs_of(passage: Passage, states: Tensor, network: Gpt2) -> Logprobs:
    """From the hidden states (num_tokens, width) of all of a passage's tokens but the last."""
    telling = states[len(passage.prompt_ids) - 1 :]
    logprobs: list[float] = []
    for start in range(0, len(passage.ids), _SLICE_TOKENS):
        logits = network.logits(telling[start : start + _SLICE_TOKENS])
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
