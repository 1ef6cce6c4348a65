"""The replies that are being made: every step lengthens each of them by a token.

Prompts are read in chunks between, so that running replies keep flowing. Importing this module
imports torch.
"""

import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bot.engine.kv_cache import PrefixCache
from bot.engine.logits import Said, apply_rules
from bot.engine.network import Gpt2, Piece
from bot.engine.request import FinishReason, GenerationRequest
from bot.engine.run import Row, Run
from bot.engine.sampler import Choice, draw
from bot.engine.scheduler import Job
from bot.errors import NumericError

CHUNK_TOKENS = 128  # of prompts in a step beside replies that are being made
LONE_CHUNK_TOKENS = 512  # where no reply waits for the step
_NUM_SEEDS = 2**31


@dataclass(frozen=True, slots=True)
class _Part:
    """What a candidate adds to a step."""

    run: Run
    row: Row
    piece: Piece


@dataclass(frozen=True, slots=True)
class _Token:
    run: Run
    row: Row
    token_id: int
    logprob: float


@dataclass(slots=True)
class _Drawn:
    """What a step comes to; nothing is changed by it yet."""

    failed: list[Run]
    branched: list[tuple[Run, list[Row]]]
    tokens: list[_Token]


class Runner:
    """Makes the replies of all running jobs together; lives in the engine's thread.

    `report(run, error)` is called for a run that alone has failed; it is taken out already.
    """

    def __init__(
        self,
        network: Gpt2,
        end_ids: Sequence[int],
        prefixes: PrefixCache,
        report: Callable[[Run, BaseException], None],
    ) -> None:
        self.runs: list[Run] = []
        self._network = network
        self._end_ids = tuple(end_ids)
        self._prefixes = prefixes
        self._report = report

    @property
    def num_rows(self) -> int:
        """Candidates that the running jobs come to have."""
        return sum(run.params.num_candidates for run in self.runs)

    @property
    def num_bytes(self) -> int:
        """Bytes of keys and values that the running jobs hold."""
        return sum(row.sequence.num_bytes for run in self.runs for row in run.rows)

    @property
    def reserved_bytes(self) -> int:
        """The same with the candidates that have not branched off yet."""
        shape = self._network.cache_shape
        return self.num_bytes + sum(
            (run.params.num_candidates - len(run.rows)) * shape.num_bytes(run.capacity)
            for run in self.runs
        )

    def needed_bytes(self, request: GenerationRequest) -> int:
        """Bytes of keys and values that `request` may come to hold."""
        capacity = self._network.cache_shape.num_bytes(self._capacity(request))
        return request.params.num_candidates * capacity

    def begin(self, job: Job) -> Run:
        """Let `job` run from the next step on; if it raises, nothing runs more than before."""
        request = job.request
        prompt = list(request.prompt_ids)
        capacity = self._capacity(request)
        sequence = self._prefixes.take(
            request.sequence_key, prompt, self._network.cache_shape, capacity
        )
        seed = request.params.seed
        seed = secrets.randbelow(_NUM_SEEDS) if seed is None else seed
        run = Run(
            job=job,
            params=request.params,
            seed=seed,
            capacity=capacity,
            unread=prompt[sequence.length :],
            rows=[Row(sequence)],
            num_cached_tokens=sequence.length,
            started_at=time.monotonic(),
            numbers=random.Random(seed),  # noqa: S311 - words are no secret
        )
        self.runs.append(run)
        return run

    def drop(self, run: Run) -> None:
        """Take `run` out and keep the part of its prompt that was read."""
        request = run.job.request
        row = run.rows[0]
        # no logits have shown yet that a prompt read in part is sound
        if run.is_kept and (not run.unread or row.sequence.is_sound):
            ids = (*request.prompt_ids, *row.ids)
            self._prefixes.put(request.sequence_key, ids, row.sequence)
        self.runs.remove(run)

    def forget(self) -> None:
        """Keep nothing of the prompts that were read until now, the running ones' included."""
        self._prefixes.shrink(0)
        for run in self.runs:
            run.is_kept = False

    def _capacity(self, request: GenerationRequest) -> int:
        wanted = len(request.prompt_ids) + request.params.max_new_tokens
        return min(wanted, self._network.shape.window)

    @torch.inference_mode()
    def step(self, num_runs: int) -> int:
        """Read on in prompts and add a token to every reply; returns how many tokens were drawn.

        At most `num_runs` take part, those that did not in the last step first. If it raises,
        nothing has changed.
        """
        taking_part = self.runs[:num_runs]
        parts = _parts(taking_part)
        logits = self._network.forward([part.piece for part in parts])
        try:
            drawn = self._draw([part for part in parts if part.piece.wants_logits], logits)
        except BaseException:
            for part in parts:
                part.piece.sequence.length -= len(part.piece.ids)
            raise
        self.runs = [*self.runs[num_runs:], *taking_part]  # whoever had to wait comes first
        for part in parts:
            if part.run.unread:
                del part.run.unread[: len(part.piece.ids)]
        return self._take(drawn)

    def _draw(self, wanting: Sequence[_Part], logits: Tensor) -> _Drawn:
        """Draw a token for every part from its logits (num_parts, num_ids)."""
        normalisers = logits.logsumexp(dim=-1)
        sound = torch.isfinite(normalisers).tolist()
        failed = {id(part.run): part.run for part, ok in zip(wanting, sound, strict=True) if not ok}
        drawn = _Drawn(list(failed.values()), [], [])
        rows: list[tuple[Run, Row, int]] = []
        for number, part in enumerate(wanting):
            if id(part.run) in failed:
                continue
            branches = _branches(part)
            if branches:
                drawn.branched.append((part.run, branches))
            rows += [(part.run, row, number) for row in (part.row, *branches)]
        if not rows:
            return drawn
        numbers = [number for _, _, number in rows]
        own = logits[numbers]
        ruled = apply_rules(own, [Said(row.ids, run.params) for run, row, _ in rows], self._end_ids)
        token_ids = draw(ruled, [Choice(run.params, run.chance(row)) for run, row, _ in rows])
        logprobs = (own[range(len(rows)), token_ids] - normalisers[numbers]).tolist()
        drawn.tokens = [
            _Token(run, row, token_id, logprob)
            for (run, row, _), token_id, logprob in zip(rows, token_ids, logprobs, strict=True)
        ]
        return drawn

    def _take(self, drawn: _Drawn) -> int:
        """Let what was drawn become true; returns how many tokens there are."""
        for run, rows in drawn.branched:
            run.rows += rows
        for token in drawn.tokens:
            token.run.chances.clear()
        for run in drawn.failed:
            self._fail(run, NumericError())
        for token in drawn.tokens:
            self._add(token)
        return len(drawn.tokens)

    def _add(self, token: _Token) -> None:
        run, row, request = token.run, token.row, token.run.job.request
        run.first_token_at = run.first_token_at or time.monotonic()
        row.logprobs.append(token.logprob)
        if token.token_id in self._end_ids:
            row.finish_reason = FinishReason.STOP
            return
        row.ids.append(token.token_id)
        room = self._network.shape.window - len(request.prompt_ids)
        if len(row.ids) >= min(run.params.max_new_tokens, room):
            row.finish_reason = FinishReason.LENGTH
        if request.on_token is None or run not in self.runs:
            return
        try:
            request.on_token(row.number, token.token_id)
        except BaseException as error:  # a fault of the callback is its own request's
            self._fail(run, error)

    def _fail(self, run: Run, error: BaseException) -> None:
        if run in self.runs:
            self.runs.remove(run)
            self._report(run, error)


def _parts(runs: Sequence[Run]) -> list[_Part]:
    """The last token of every reply that goes on, and as much of prompts as a step reads."""
    parts = [
        _Part(run, row, Piece([row.ids[-1]], row.sequence))
        for run in runs
        if not run.unread
        for row in run.rows
        if row.finish_reason is None
    ]
    room = CHUNK_TOKENS if parts else LONE_CHUNK_TOKENS
    for run in runs:
        if run.unread and room > 0:
            chunk = run.unread[:room]
            ends = len(chunk) == len(run.unread)
            parts.append(_Part(run, run.rows[0], Piece(chunk, run.rows[0].sequence, ends)))
            room -= len(chunk)
    return parts


def _branches(part: _Part) -> list[Row]:
    """One prompt was read for all candidates: each goes on in a sequence of its own."""
    run, first = part.run, part.row.sequence
    if len(run.rows) == run.params.num_candidates:
        return []
    return [
        Row(first.copy(first.length, run.capacity), number)
        for number in range(1, run.params.num_candidates)
    ]
