"""The rules over the bot's own words, for `generate`.

Simple rather than fast: what a step looks for is searched for each time, so that the engine that
looks it up has something to be compared with.

transformers' own repetition penalty and n-gram ban look at the prompt too: they would punish
names that the member used and the end of every turn, until replies fade to nothing
(microsoft/DialoGPT issue 84).
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from bot.engine.protocol import GenerationRequest
from bot.engine.sampling.rules import DRY_ALLOWED_LENGTH, DRY_BASE, DRY_MAX_MATCH

Ids = Sequence[int]


class ReplyRules(LogitsProcessor):
    """Repetition penalty, DRY, n-gram bans and minimum length, over the bot's own words only.

    The tokens that end a reply are neither penalised nor banned, except before `min_new_tokens`:
    a reply that is still running holds none of them.
    """

    def __init__(self, request: GenerationRequest, end_ids: Ids) -> None:
        self._params = request.params
        self._num_prompt_tokens = len(request.prompt_ids)
        self._own_ids = request.own_ids
        self._end_ids = list(end_ids)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Logits in, logits out: shapes (batch, num_tokens) and (batch, vocabulary)."""
        reply = input_ids[:, self._num_prompt_tokens :]
        ruled = penalise(scores, reply, self._params.repetition_penalty)
        for logits, ids in zip(ruled, reply.tolist(), strict=True):
            self._discourage(logits, ids)
            logits[completing([ids], ids, self._params.no_repeat_ngram_size)] = -torch.inf
            if len(ids) < self._params.min_new_tokens:
                logits[self._end_ids] = -torch.inf
            self._ban_own(logits, ids)
        return ruled

    def _discourage(self, logits: Tensor, ids: Ids) -> None:
        """Make what lengthens a repetition less likely in the row `logits` (vocabulary,)."""
        multiplier = self._params.dry_multiplier
        matches = longest_matches(ids, [ids, *self._own_ids]) if multiplier else {}
        for token_id in self._ruled_ids(matches, len(logits)):
            excess = matches[token_id] - DRY_ALLOWED_LENGTH
            if excess >= 0:
                logits[token_id] -= multiplier * DRY_BASE**excess

    def _ban_own(self, logits: Tensor, ids: Ids) -> None:
        """Forbid tokens that would repeat an n-gram of an earlier turn in the row `logits`."""
        before = logits.clone()
        repeating = completing(self._own_ids, ids, self._params.no_repeat_own_ngram_size)
        logits[self._ruled_ids(repeating, len(logits))] = -torch.inf
        if bool((logits == -torch.inf).all()):
            logits.copy_(before)  # a word twice is better than none

    def _ruled_ids(self, ids: Iterable[int], num_ids: int) -> list[int]:
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


def completing(texts: Iterable[Ids], reply: Ids, size: int) -> list[int]:
    """The tokens that would complete in `reply` an n-gram of `size` tokens of one of `texts`."""
    num_before = size - 1
    if size == 0 or len(reply) < num_before:
        return []
    last = list(reply[len(reply) - num_before :])
    return [
        text[end]
        for text in texts
        for end in range(num_before, len(text))
        if list(text[end - num_before : end]) == last
    ]


def longest_matches(reply: Ids, texts: Iterable[Ids]) -> dict[int, int]:
    """By token: the most tokens that it follows in one of `texts` as it would follow `reply`."""
    matches: dict[int, int] = {}
    for text in texts:
        for end in range(1, len(text)):
            for match in range(1, min(end, len(reply), DRY_MAX_MATCH) + 1):
                if list(text[end - match : end]) != list(reply[len(reply) - match :]):
                    break
                matches[text[end]] = max(match, matches.get(text[end], 0))
    return matches
