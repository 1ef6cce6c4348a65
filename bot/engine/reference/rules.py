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
from bot.engine.sampling.letters import WHOLE, WholeLetters
from bot.engine.sampling.rules import DRY_ALLOWED_LENGTH, DRY_BASE, DRY_MAX_MATCH

Ids = Sequence[int]


class ReplyRules(LogitsProcessor):
    """Repetition penalty, DRY, n-gram bans and minimum length, over the bot's own words only.

    The tokens that end a reply are neither penalised nor banned, except before `min_new_tokens`:
    a reply that is still running holds none of them. With `letters` it is made of whole ones; what
    it may hold at most is then `num_new_tokens`.
    """

    def __init__(
        self,
        request: GenerationRequest,
        end_ids: Ids,
        letters: WholeLetters | None = None,
        num_new_tokens: int | None = None,
    ) -> None:
        self._params = request.params
        self._num_prompt_tokens = len(request.prompt_ids)
        self._own_ids = request.own_ids
        self._end_ids = list(end_ids)
        self._letters = letters
        self._num_new_tokens = num_new_tokens or request.params.max_new_tokens

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Logits in, logits out: shapes (batch, num_tokens) and (batch, vocabulary)."""
        reply = input_ids[:, self._num_prompt_tokens :]
        ruled = penalise(scores, reply, self._params.repetition_penalty)
        for logits, ids in zip(ruled, reply.tolist(), strict=True):
            self._discourage(logits, ids)
            self._ban(logits, ids)
        return ruled

    def _discourage(self, logits: Tensor, ids: Ids) -> None:
        """Make what lengthens a repetition less likely in the row `logits` (vocabulary,)."""
        multiplier = self._params.dry_multiplier
        matches = longest_matches(ids, [ids, *self._own_ids]) if multiplier else {}
        for token_id in self._ruled_ids(matches, len(logits)):
            excess = matches[token_id] - DRY_ALLOWED_LENGTH
            if excess >= 0:
                logits[token_id] -= multiplier * DRY_BASE**excess

    def _ban(self, logits: Tensor, ids: Ids) -> None:
        """Forbid tokens in the row `logits` (vocabulary,): bans that leave none fall one by one."""
        size, own_size = self._params.no_repeat_ngram_size, self._params.no_repeat_own_ngram_size
        bans = [self._end_ids if len(ids) < self._params.min_new_tokens else []]
        bans.append(completing([ids], ids, size))
        bans.append(self._ruled_ids(completing(self._own_ids, ids, own_size), len(logits)))
        before = logits.clone()
        for num_bans in (3, 2, 1, 0):
            logits.copy_(before)
            for banned in bans[:num_bans]:
                logits[banned] = -torch.inf
            keep_whole(logits, ids, self._letters, self._num_new_tokens - len(ids))
            if bool((logits > -torch.inf).any()):
                return

    def _ruled_ids(self, ids: Iterable[int], num_ids: int) -> list[int]:
        """`ids` without those that end a reply, and without what the model does not know."""
        return [i for i in ids if i not in self._end_ids and i < num_ids]


class LetterRule(LogitsProcessor):
    """Whole letters, and no other rule; `letters` None: not even that."""

    def __init__(
        self, letters: WholeLetters | None, num_prompt_tokens: int, num_new_tokens: int
    ) -> None:
        self._letters = letters
        self._num_prompt_tokens = num_prompt_tokens
        self._num_new_tokens = num_new_tokens

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Logits in, logits out: shapes (batch, num_tokens) and (batch, vocabulary)."""
        ruled = scores.clone()
        for logits, ids in zip(ruled, input_ids.tolist(), strict=True):
            reply = ids[self._num_prompt_tokens :]
            keep_whole(logits, reply, self._letters, self._num_new_tokens - len(reply))
        return ruled


def keep_whole(logits: Tensor, ids: Ids, letters: WholeLetters | None, num_left: int) -> None:
    """Forbid in the row `logits` (vocabulary,) what makes no whole letters after `ids`."""
    if letters is not None:
        letters.forbid(logits[None], [letters.place(letters.after(WHOLE, ids), num_left)])


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
