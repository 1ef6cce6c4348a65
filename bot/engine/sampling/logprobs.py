"""Log-probabilities of given tokens."""

from collections.abc import Sequence
from math import isfinite

import torch
from torch import Tensor

from bot.engine.placement.transfer import on_device
from bot.errors import NumericError

Logprobs = tuple[float, ...]


def logprobs_from(logits: Tensor, ids: Sequence[int]) -> list[float]:
    """Log-probability of each of `ids` from its row of `logits` (num_tokens, num_ids)."""
    normalisers = logits.logsumexp(dim=-1)
    columns = on_device(list(ids), logits.device)
    chosen = logits.gather(1, columns[:, None]).squeeze(1) - normalisers
    told, sums = torch.stack([chosen, normalisers]).tolist()  # a device is waited for once
    if not all(map(isfinite, sums)):
        raise NumericError
    logprobs: list[float] = told
    return logprobs
