"""Draws the next token of every row of a batch, each by its own params and its own numbers.

The order is that of transformers' `generate`: temperature, top-k, top-p, min-p. Importing this
module imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from bot.dialogue.sampling import SamplingParams

_ALL = 0  # the top_k that keeps every token


@dataclass(frozen=True, slots=True)
class Choice:
    """How a row draws; `number`, in [0, 1), decides."""

    params: SamplingParams
    number: float


def draw(logits: Tensor, choices: Sequence[Choice]) -> list[int]:
    """One token id for every row of `logits` (num_rows, num_ids), which no rule bans whole."""
    drawn = [0] * len(choices)
    # rows that keep everything have to be sorted whole, which costs the others too much
    for keeps_all in (False, True):
        numbers = [
            i for i, choice in enumerate(choices) if (choice.params.top_k == _ALL) == keeps_all
        ]
        if numbers:
            picked = _draw(logits[numbers], [choices[i] for i in numbers])
            for i, token_id in zip(numbers, picked, strict=True):
                drawn[i] = token_id
    return drawn


def _draw(logits: Tensor, choices: Sequence[Choice]) -> list[int]:
    """Draw from rows that all have a `top_k`, or all have none."""
    params = [choice.params for choice in choices]
    values, ids = _largest(logits, max(p.top_k for p in params))
    column = torch.arange(values.shape[1], device=values.device)
    kept = values > -torch.inf
    if params[0].top_k != _ALL:
        kept &= column < _column(values, [p.top_k for p in params])
    values = values / _column(values, [p.temperature for p in params])
    shares = torch.where(kept, values, -torch.inf).softmax(dim=-1)
    before = shares.cumsum(dim=-1) - shares
    # the smallest set that holds `top_p`: a token stays while what stands before it is less
    kept &= (before < _column(values, [_limit(p.top_p) for p in params])) | (column == 0)
    kept &= shares >= shares[:, :1] * _column(values, [p.min_p for p in params])
    shares = torch.where(kept, shares, 0.0).double()
    sums = shares.cumsum(dim=-1)
    # double: in float32 the last of 50,000 sums can lie below the number that was drawn
    targets = _column(sums, [choice.number for choice in choices]) * sums[:, -1:]
    places = torch.searchsorted(sums, targets, right=True)
    last = torch.where(kept, column, 0).amax(dim=-1, keepdim=True)
    picked: list[int] = ids.gather(1, torch.minimum(places, last)).squeeze(1).tolist()
    return picked


def _largest(logits: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The values and ids to draw from, the likeliest first: shape (num_rows, top_k or num_ids)."""
    if top_k == _ALL:
        values, ids = logits.sort(dim=-1, descending=True, stable=True)
    else:
        values, ids = logits.topk(min(top_k, logits.shape[1]), dim=-1)
    return values, ids


def _limit(top_p: float) -> float:
    # float32: what stands before an unlikely token can round up to 1 or above
    return top_p if top_p < 1 else inf


def _column(values: Tensor, numbers: Sequence[float]) -> Tensor:
    return torch.tensor(numbers, dtype=values.dtype, device=values.device)[:, None]
