"""The rules over the bot's own words, for every row of a batch by its own params.

transformers' own repetition penalty and n-gram ban look at the prompt too: they would punish
names that the member used and the end of every turn, until replies fade to nothing
(microsoft/DialoGPT issue 84). Importing this module imports torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from bot.dialogue.sampling import SamplingParams


@dataclass(frozen=True, slots=True)
class Said:
    """What a row's rules depend on: `ids` are the tokens of its reply so far."""

    ids: Sequence[int]
    params: SamplingParams


def apply_rules(logits: Tensor, rows: Sequence[Said], end_ids: Sequence[int]) -> Tensor:
    """Repetition penalty, n-gram ban and minimum length; a new tensor (num_rows, num_ids).

    The tokens that end a reply are neither penalised nor banned, except before
    `min_new_tokens`: a reply that is still running holds none of them.
    """
    ruled = logits.clone()
    _penalise(ruled, rows)
    banned = [_banned(row, end_ids) for row in rows]
    numbers = [number for number, ids in enumerate(banned) for _ in ids]
    if numbers:
        ruled[numbers, list(chain.from_iterable(banned))] = -torch.inf
    return ruled


def _penalise(logits: Tensor, rows: Sequence[Said]) -> None:
    """Make what a row has said less likely, for all rows in one pass.

    CTRL's penalty: Keskar et al. 2019, https://arxiv.org/abs/1909.05858, section 4.1, in the
    form for negative logits that transformers uses.
    """
    said = [sorted(set(row.ids)) if row.params.repetition_penalty != 1 else [] for row in rows]
    numbers = [number for number, ids in enumerate(said) for _ in ids]
    if not numbers:
        return
    ids = list(chain.from_iterable(said))
    penalties = torch.tensor(
        [rows[number].params.repetition_penalty for number in numbers], device=logits.device
    )
    values = logits[numbers, ids]
    logits[numbers, ids] = torch.where(values < 0, values * penalties, values / penalties)


def _banned(row: Said, end_ids: Sequence[int]) -> list[int]:
    size = row.params.no_repeat_ngram_size
    banned = repeated(row.ids, size) if size else []
    return [*banned, *end_ids] if len(row.ids) < row.params.min_new_tokens else banned


def repeated(ids: Sequence[int], size: int) -> list[int]:
    """The tokens that would complete an n-gram of `size` that `ids` already holds."""
    last = list(ids[len(ids) - size + 1 :]) if size > 1 else []
    if len(last) < size - 1:
        return []
    ends = range(size - 1, len(ids))
    return [ids[end] for end in ends if list(ids[end - size + 1 : end]) == last]
