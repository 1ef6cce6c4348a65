"""What transformers' `generate` is given for a request, and what it made.

Importing this module imports torch and transformers.
"""

import time

from bot.dialogue.sampling import SamplingParams
from bot.engine.loader import LoadedModel, generation_config
from bot.engine.processors import ReplyWatch
from bot.engine.request import Completion, FinishReason
from bot.engine.scheduler import Job


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
