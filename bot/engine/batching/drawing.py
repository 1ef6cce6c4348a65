"""A step's tokens, drawn on the device and brought back in one piece.

Importing this module imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from bot.engine.batching.running_request import Row, Run
from bot.engine.placement.transfer import on_device
from bot.engine.sampling.letters import WHOLE, WholeLetters
from bot.engine.sampling.rules import ReplyRow, apply_rules
from bot.engine.sampling.sampler import Choice, pick


@dataclass(frozen=True, slots=True)
class Draw:
    """A token that is to be drawn for the candidate `row` from the logits in row `number`."""

    run: Run
    row: Row
    number: int


@dataclass(frozen=True, slots=True)
class Token:
    """What a candidate got; without meaning where its logits are not finite."""

    run: Run
    row: Row
    token_id: int
    logprob: float
    is_sound: bool


def draw_tokens(
    draws: Sequence[Draw],
    logits: Tensor,
    end_ids: Sequence[int],
    letters: WholeLetters | None = None,
) -> list[Token]:
    """A token for each of `draws` from `logits` (num_rows, num_ids); see `apply_rules`."""
    if not draws:
        return []
    numbers = on_device([draw.number for draw in draws], logits.device)
    own, normalisers = logits[numbers], logits.logsumexp(dim=-1)[numbers]
    said = [_said(draw, letters) for draw in draws]
    choices = [Choice(draw.run.params, draw.run.chance(draw.row)) for draw in draws]
    ids = pick(apply_rules(own, said, end_ids, letters), choices)
    logprobs = own.gather(1, ids[:, None]).squeeze(1) - normalisers
    # the one moment of a step in which a device is waited for
    told = torch.stack([ids.double(), logprobs.double(), normalisers.double()], dim=1).tolist()
    return [
        Token(draw.run, draw.row, int(token_id), logprob, isfinite(normaliser))
        for draw, (token_id, logprob, normaliser) in zip(draws, told, strict=True)
    ]


def _said(draw: Draw, letters: WholeLetters | None) -> ReplyRow:
    run, row = draw.run, draw.row
    num_left = run.capacity - len(run.job.request.prompt_ids) - len(row.ids)
    place = letters.place(row.letter, num_left) if letters else WHOLE
    return ReplyRow(row.ids, run.params, run.own, place)
