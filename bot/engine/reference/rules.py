"""The rules over the bot's own words, and the watch over a running generation, for `generate`.

Simple rather than fast: what a step looks for is searched for anew, so that the engine that looks
it up has something to be compared with.

transformers' own repetition penalty and n-gram ban look at the prompt too: they would punish
names that the member used and the end of every turn, until replies fade to nothing
(microsoft/DialoGPT issue 84).
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from bot.engine.protocol import GenerationRequest
from bot.engine.sampling.rules import DRY_ALLOWED_LENGTH, DRY_BASE, DRY_MAX_MATCH, repeated


class ReplyRules(LogitsProcessor):
    """Repetition penalty, DRY, n-gram bans and minimum length, over the bot's own words only.

    The tokens that end a reply are neither penalised nor banned, except before `min_new_tokens`:
    a reply that is still running holds none of them.
    """

    def __init__(self, request: GenerationRequest, end_ids: Sequence[int]) -> None:
        self._params = request.params
        self._num_prompt_tokens = len(request.prompt_ids)
        self._own_ids = request.own_ids
        self._end_ids = list(end_ids)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Logits in, logits out: shapes (batch, num_tokens) and (batch, vocabulary)."""
        reply = input_ids[:, self._num_prompt_tokens :]
        ruled = penalise(scores, reply, self._params.repetition_penalty)
        ruled = self._discourage(ruled, reply)
        ruled = ban_ngrams(ruled, reply, self._params.no_repeat_ngram_size)
        if reply.shape[1] < self._params.min_new_tokens:
            ruled[:, self._end_ids] = -torch.inf
        return self._ban_own(ruled, reply)

    def _discourage(self, logits: Tensor, reply: Tensor) -> Tensor:
        """Make what lengthens a repetition less likely; a new tensor."""
        multiplier = self._params.dry_multiplier
        discouraged = logits.clone()
        for row, ids in enumerate(reply.tolist()):
            matches = longest_matches(ids, [ids, *self._own_ids]) if multiplier else {}
            for token_id in self._words(matches, logits.shape[1]):
                excess = matches[token_id] - DRY_ALLOWED_LENGTH
                if excess >= 0:
                    discouraged[row, token_id] -= multiplier * DRY_BASE**excess
        return discouraged

    def _ban_own(self, logits: Tensor, reply: Tensor) -> Tensor:
        """Forbid tokens that would repeat an n-gram of an earlier turn; a new tensor."""
        size = self._params.no_repeat_own_ngram_size
        banned_logits = logits.clone()
        for row, ids in enumerate(reply.tolist()):
            repeating = repeated_in(self._own_ids, ids, size)
            banned_logits[row, self._words(repeating, logits.shape[1])] = -torch.inf
            if bool((banned_logits[row] == -torch.inf).all()):
                banned_logits[row] = logits[row]  # a word twice is better than none
        return banned_logits

    def _words(self, ids: Iterable[int], num_ids: int) -> list[int]:
        """`ids` without those that end a reply, and without what the model does not know."""
        return [i for i in ids if i not in self._end_ids and i < num_ids]


def penalise(logits: Tensor, reply: Tensor, penalty: float) -> Tensor:
    """Make every token of `reply` (batch, num_new_tokens) less likely; a new tensor.

    CTRL's penalty: Keskar et al. 2019, https://arxiv.org/abs/1909.05858, section 4.1, in the
    form for negative logits that transformers uses.
    """
    said = logits.gather(1, reply)
    said = torch.where(said < 0, said * penalty, said / penalty)
    return logits.scatter(1, reply, said)


def ban_ngrams(logits: Tensor, reply: Tensor, size: int) -> Tensor:
    """Forbid tokens that would repeat an n-gram of `size` tokens of `reply`; a new tensor."""
    banned_logits = logits.clone()
    if size == 0:
        return banned_logits
    for row, ids in enumerate(reply.tolist()):
        banned = repeated(ids, size)
        banned_logits[row, banned] = -torch.inf
    return banned_logits


def repeated_in(turns: Iterable[Sequence[int]], reply: Sequence[int], size: int) -> list[int]:
    """The tokens that would complete in `reply` an n-gram of `size` tokens of one of `turns`."""
    num_before = size - 1
    if size == 0 or len(reply) < num_before:
        return []
    last = list(reply[len(reply) - num_before :])
    return [
        turn[end]
        for turn in turns
        for end in range(num_before, len(turn))
        if list(turn[end - num_before : end]) == last
    ]


def longest_matches(reply: Sequence[int], texts: Iterable[Sequence[int]]) -> dict[int, int]:
    """By token: the most tokens that it follows in one of `texts` as it would follow `reply`."""
    matches: dict[int, int] = {}
    for text in texts:
        for end in range(1, len(text)):
            for match in range(1, min(end, len(reply), DRY_MAX_MATCH) + 1):
                if list(text[end - match : end]) != list(reply[len(reply) - match :]):
                    break
                matches[text[end]] = max(match, matches.get(text[end], 0))
    return matches
