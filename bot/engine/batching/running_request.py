"""A request while it runs, and the completions it comes to.

Importing this module imports torch.
"""

import random
import time
from dataclasses import dataclass, field

from bot.dialogue.sampling import SamplingParams
from bot.engine.batching.kv_cache import KvSequence
from bot.engine.protocol import Completion, FinishReason
from bot.engine.sampling.letters import WHOLE
from bot.engine.sampling.rules import OwnTurns
from bot.engine.scheduler import Job


@dataclass(eq=False, slots=True)
class Row:
    """Candidate `number`: `ids`, `logprobs` and `end_id` as in Completion, while it grows.

    `letter`: the state of WholeLetters after `ids`.
    """

    sequence: KvSequence
    number: int = 0
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    end_id: int | None = None
    letter: int = WHOLE


@dataclass(eq=False, slots=True)
class Run:
    """A job that is running.

    `unread`: tokens of the prompt that the network has not seen; `capacity`: tokens that a
    candidate may come to hold; `chances`: the numbers in [0, 1) that decide the coming step,
    kept so that a step that has to be made again comes out the same.
    """

    job: Job
    params: SamplingParams
    seed: int
    capacity: int
    unread: list[int]
    rows: list[Row]
    num_cached_tokens: int
    started_at: float
    numbers: random.Random
    own: OwnTurns
    chances: list[float] = field(default_factory=list)
    first_token_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether every candidate has ended."""
        return not self.unread and all(row.finish_reason is not None for row in self.rows)

    def chance(self, row: Row) -> float:
        """What decides the coming token of `row`."""
        if not self.chances:
            self.chances = [self.numbers.random() for _ in range(self.params.num_candidates)]
        return self.chances[row.number]


def completions(run: Run) -> list[Completion]:
    """What a run that is over has made, a candidate each."""
    now, job = time.monotonic(), run.job
    return [
        Completion(
            ids=tuple(row.ids),
            logprobs=tuple(row.logprobs),
            finish_reason=row.finish_reason or FinishReason.LENGTH,
            seed=run.seed,
            num_prompt_tokens=len(job.request.prompt_ids),
            end_id=row.end_id,
            num_cached_tokens=run.num_cached_tokens,
            queued_seconds=run.started_at - job.submitted_at,
            first_token_seconds=(run.first_token_at or now) - job.submitted_at,
            total_seconds=now - job.submitted_at,
        )
        for row in run.rows
    ]
