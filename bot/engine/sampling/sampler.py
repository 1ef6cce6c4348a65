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
from bot.engine.placement.transfer import on_device

_ALL = 0  # the top_k that keeps every token


@dataclass(frozen=True, slots=True)
class Choice:
    """How a row draws; `number`, in [0, 1), decides."""

    params: SamplingParams
    number: float


def draw(logits: Tensor, choices: Sequence[Choice]) -> list[int]:
    """One token id for every row of `logits` (num_rows, num_ids), which no rule bans whole."""
    drawn: list[int] = pick(logits, choices).tolist()
    return drawn


def pick(logits: Tensor, choices: Sequence[Choice]) -> Tensor:
    """The same, left on the device: shape (num_rows,). A row of NaN gets any token."""
    keeping_all = [choice.params.top_k == _ALL for choice in choices]
    if len(set(keeping_all)) == 1:
        return _pick(logits, choices)
    drawn = torch.empty(len(choices), dtype=torch.int64, device=logits.device)
    # rows that keep everything have to be sorted whole, which costs the others too much
    for keeps_all in (False, True):
        numbers = [i for i, keeping in enumerate(keeping_all) if keeping == keeps_all]
        rows = on_device(numbers, logits.device)
        drawn[rows] = _pick(logits[rows], [choices[i] for i in numbers])
    return drawn


def _pick(logits: Tensor, choices: Sequence[Choice]) -> Tensor:
    """Draw from rows that all have a `top_k`, or all have none."""
    params = [choice.params for choice in choices]
    values, ids = _largest(logits, max(p.top_k for p in params))
    top_k, temperature, top_p, min_p, number = _columns(choices, values.device)
    column = torch.arange(values.shape[1], device=values.device)
    kept = values > -torch.inf
    if params[0].top_k != _ALL:
        kept &= column < top_k.to(values.dtype)
    values = values / temperature.to(values.dtype)
    shares = torch.where(kept, values, -torch.inf).softmax(dim=-1)
    before = shares.cumsum(dim=-1) - shares
    # the smallest set that holds `top_p`: a token stays while what stands before it is less
    kept &= (before < top_p.to(values.dtype)) | (column == 0)
    kept &= shares >= shares[:, :1] * min_p.to(values.dtype)
    shares = torch.where(kept, shares, 0.0).double()
    sums = shares.cumsum(dim=-1)
    # double: in float32 the last of 50,000 sums can lie below the number that was drawn
    columns = torch.searchsorted(sums, number * sums[:, -1:], right=True)
    last = torch.where(kept, column, 0).amax(dim=-1, keepdim=True)
    return ids.gather(1, torch.minimum(columns, last)).squeeze(1)


def _largest(logits: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The values and ids to draw from, the likeliest first: shape (num_rows, top_k or num_ids)."""
    if top_k == _ALL:
        return logits.sort(dim=-1, descending=True, stable=True)
    return logits.topk(min(top_k, logits.shape[1]), dim=-1)


def _columns(choices: Sequence[Choice], device: torch.device) -> Sequence[Tensor]:
    """top_k, temperature, top_p, min_p and the number: each (num_rows, 1), in one copy."""
    numbers = [
        # inf: in float32 what stands before an unlikely token can round up to 1 or above
        (p.top_k, p.temperature, p.top_p if p.top_p < 1 else inf, p.min_p, number)
        for p, number in ((choice.params, choice.number) for choice in choices)
    ]
    return torch.split(on_device(numbers, device, torch.float64), 1, dim=1)
