"""The rules over the bot's own words, and the watch over a running generation, for `generate`.

transformers' own repetition penalty and n-gram ban look at the prompt too: they would punish
names that the member used and the end of every turn, until replies fade to nothing
(microsoft/DialoGPT issue 84).
"""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria

from bot.dialogue.sampling import SamplingParams
from bot.engine.logits import repeated
from bot.errors import NumericError


class ReplyRules(LogitsProcessor):
    """Repetition penalty, n-gram ban and minimum length, over the generated tokens only.

    The tokens that end a reply are neither penalised nor banned, except before `min_new_tokens`:
    a reply that is still running holds none of them.
    """

    def __init__(
        self, params: SamplingParams, num_prompt_tokens: int, end_ids: Sequence[int]
    ) -> None:
        self._params = params
        self._num_prompt_tokens = num_prompt_tokens
        self._end_ids = list(end_ids)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Logits in, logits out: shapes (batch, num_tokens) and (batch, vocabulary)."""
        reply = input_ids[:, self._num_prompt_tokens :]
        ruled = penalise(scores, reply, self._params.repetition_penalty)
        ruled = ban_ngrams(ruled, reply, self._params.no_repeat_ngram_size)
        if reply.shape[1] < self._params.min_new_tokens:
            ruled[:, self._end_ids] = -torch.inf
        return ruled


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


class ReplyWatch(StoppingCriteria):
    """Collects what is drawn, candidate by candidate.

    `ids` and `logprobs` grow as described in Completion. `on_step(num_tokens)` is called at
    every step but the last with how many tokens were drawn; it stops the generation by raising.
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
        self.ended = [False] * num_candidates
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
        num_tokens = self.ended.count(False)
        for candidate, (token_id, logprob) in enumerate(
            zip(drawn.tolist(), logprobs.tolist(), strict=True)
        ):
            if not self.ended[candidate]:
                self._take(candidate, token_id, logprob)
        if not all(self.ended):
            self._on_step(num_tokens)
        return torch.zeros_like(drawn, dtype=torch.bool)

    def _take(self, candidate: int, token_id: int, logprob: float) -> None:
        self.logprobs[candidate].append(logprob)
        if token_id in self._end_ids:
            self.ended[candidate] = True
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
