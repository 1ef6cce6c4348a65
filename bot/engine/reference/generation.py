"""What transformers' `generate` is given for a request, and what it made.

Importing this module imports torch and transformers.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, StoppingCriteria

from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import Completion, FinishReason
from bot.engine.reference.loader import LoadedModel, generation_config
from bot.engine.sampling.logprobs import logprobs_from
from bot.engine.scheduler import Job
from bot.errors import NumericError


def sampling_config(params: SamplingParams, loaded: LoadedModel, max_new_tokens: int) -> object:
    """The GenerationConfig for `params`; the rules over words are none of its business."""
    return generation_config(
        max_new_tokens=max_new_tokens,
        do_sample=True,
        temperature=params.temperature,
        top_k=params.top_k,
        top_p=params.top_p,
        min_p=params.min_p or None,
        num_return_sequences=params.num_candidates,
        eos_token_id=list(loaded.end_ids),
        pad_token_id=loaded.end_ids[0],
        use_cache=True,
    )


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

    def see(self, logits: Tensor) -> None:
        """Keep a step's unprocessed logits (batch, vocabulary) until a token is drawn from them.

        Raises NumericError for NaN or infinity: drawing from them returns random tokens on a
        CPU and breaks a CUDA device for good.
        """
        self._logits = logits
        if not bool(torch.isfinite(logits.logsumexp(dim=-1)).all()):
            raise NumericError

    def __call__(self, input_ids: Tensor, scores: object, **_: object) -> Tensor:
        """Take the tokens that were drawn last; never ends a candidate by itself."""
        drawn = input_ids[:, -1].tolist()
        logprobs = logprobs_from(self._logits, drawn)
        self.first_token_at = self.first_token_at or time.monotonic()
        num_tokens = self.ends.count(None)
        for candidate, (token_id, logprob) in enumerate(zip(drawn, logprobs, strict=True)):
            if self.ends[candidate] is None:
                self._take(candidate, token_id, logprob)
        if None in self.ends:
            self._on_step(num_tokens)
        return torch.zeros(len(drawn), dtype=torch.bool, device=input_ids.device)

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


@contextmanager
def interruptible(network: nn.Module, check: Callable[[], None]) -> Iterator[None]:
    """Call `check` before every layer of `network`; it stops the pass by raising."""
    registered = [layer.register_forward_pre_hook(lambda *_: check()) for layer in layers(network)]
    try:
        yield
    finally:
        for hook in registered:
            hook.remove()


def layers(network: nn.Module) -> list[nn.Module]:
    """The layers that `network` runs one after another: its outermost list of modules."""
    lists = (module for module in network.modules() if isinstance(module, nn.ModuleList))
    return list(next(lists, ()))


def completions_of(job: Job, watch: ReplyWatch, seed: int, started_at: float) -> list[Completion]:
    """What `watch` saw; `started_at` is a moment of time.monotonic() in seconds."""
    now = time.monotonic()
    first_token_at = watch.first_token_at or now
    return [
        Completion(
            ids=tuple(ids),
            logprobs=tuple(logprobs),
            finish_reason=FinishReason.LENGTH if end_id is None else FinishReason.STOP,
            seed=seed,
            num_prompt_tokens=len(job.request.prompt_ids),
            end_id=end_id,
            queued_seconds=started_at - job.submitted_at,
            first_token_seconds=first_token_at - job.submitted_at,
            total_seconds=now - job.submitted_at,
        )
        for ids, logprobs, end_id in zip(watch.ids, watch.logprobs, watch.ends, strict=True)
    ]
