"""The rules over the bot's own words, and the watch over a running generation, for `generate`.

Simple rather than fast: what a step looks for is searched for anew, so that the engine that looks
it up has something to be compared with.

transformers' own repetition penalty and n-gram ban look at the prompt too: they would punish
names that the member used and the end of every turn, until replies fade to nothing
(microsoft/DialoGPT issue 84).
"""

import time
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria

from bot.engine.logits import DRY_ALLOWED_LENGTH, DRY_BASE, DRY_MAX_MATCH, repeated
from bot.engine.request import GenerationRequest
from bot.errors import NumericError


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


class ReplyWatch(StoppingCriteria):
    """Collects what is drawn, candidate by candidate.

    `ids` and `logprobs` grow as described in Completion, whose `end_id` is in `ends`.
    `on_step(num_tokens)` is called at every step but the last with how many tokens were drawn; it
    stops the generation by raising.
    """

    def __init__(
        self,
        num_candidates: int,
        end_ids: Sequence[int],
        on_step: Callable[[int], None],
        on_token: Callable[[int, int], None] | None,
    ) -> None:
        self.ids: list[list[int]] = [[] for _ in range(num_candidates)]
        self.logprobs: list[list[float]] = [[] for _ in range(num_candidates)]
        self.ends: list[int | None] = [None] * num_candidates
        self.first_token_at: float | None = None
        self._end_ids = frozenset(end_ids)
        self._on_step = on_step
        self._on_token = on_token
        self._logits = torch.empty(0)
        self._normaliser = torch.empty(0)

    def see(self, logits: Tensor) -> None:
        """Keep a step's unprocessed logits (batch, vocabulary) until a token is drawn from them.

        Raises NumericError for NaN or infinity: drawing from them returns random tokens on a
        CPU and breaks a CUDA device for good.
        """
        self._logits = logits
        self._normaliser = logits.logsumexp(dim=-1)
        if not bool(torch.isfinite(self._normaliser).all()):
            raise NumericError

    def __call__(self, input_ids: Tensor, scores: object, **_: object) -> Tensor:
        """Take the tokens that were drawn last; never ends a candidate by itself."""
        drawn = input_ids[:, -1]
        logprobs = self._logits.gather(1, drawn[:, None]).squeeze(1) - self._normaliser
        self.first_token_at = self.first_token_at or time.monotonic()
        num_tokens = self.ends.count(None)
        for candidate, (token_id, logprob) in enumerate(
            zip(drawn.tolist(), logprobs.tolist(), strict=True)
        ):
            if self.ends[candidate] is None:
                self._take(candidate, token_id, logprob)
        if None in self.ends:
            self._on_step(num_tokens)
        return torch.zeros_like(drawn, dtype=torch.bool)

    def _take(self, candidate: int, token_id: int, logprob: float) -> None:
        self.logprobs[candidate].append(logprob)
        if token_id in self._end_ids:
            self.ends[candidate] = token_id
            return
        self.ids[candidate].append(token_id)
        if self._on_token is not None:
            self._on_token(candidate, token_id)


class RawLogits(LogitsProcessor):
    """Shows the unprocessed logits of every step to a ReplyWatch; stands before all rules."""

    def __init__(self, watch: ReplyWatch) -> None:
        self._watch = watch

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` (batch, vocabulary) as they are."""
        self._watch.see(scores)
        return scores
