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

from bot.engine.batching.cuda.slot_decoder import Decoder
from bot.engine.batching.cuda.slots import SlotSequence
from bot.engine.batching.drawing import Place, Token, draw_tokens
from bot.engine.batching.kv_cache import KvSequence, PrefixCache
from bot.engine.batching.network import Gpt2, Piece
from bot.engine.batching.running_request import Row, Run
from bot.engine.checks import EngineLimits
from bot.engine.faults import is_memory_fault
from bot.engine.protocol import FinishReason, GenerationRequest
from bot.engine.sampling.rules import OwnTurns
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


@dataclass(slots=True)
class _Drawn:
    """What a step comes to; nothing is changed by it yet."""

    failed: list[Run]
    branched: list[tuple[Run, list[Row]]]
    tokens: list[Token]


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
        decoder: Decoder | None = None,
    ) -> None:
        """`decoder`: a faster way through `network`, on the devices that have one."""
        self.runs: list[Run] = []
        self.network = network
        self._decoder = decoder
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
        return self.num_bytes + self._bytes_to_come(self._candidates_to_come())

    def _candidates_to_come(self) -> list[int]:
        """The capacity of every candidate that has not branched off yet."""
        return [
            run.capacity
            for run in self.runs
            for _ in range(run.params.num_candidates - len(run.rows))
        ]

    def _bytes_to_come(self, capacities: Sequence[int]) -> int:
        """What sequences of `capacities` take beside the slots that are free."""
        without = self._decoder.without_slot(capacities) if self._decoder else capacities
        return sum(map(self.network.cache_shape.num_bytes, without))

    def has_room(self, request: GenerationRequest, limits: EngineLimits) -> bool:
        """Whether `request` may run beside the others; alone, even a too large one may try."""
        if not self.runs:
            return True
        num_rows = self.num_rows + request.params.num_candidates
        to_come = [self._capacity(request)] * request.params.num_candidates
        num_bytes = self.num_bytes + self._bytes_to_come(self._candidates_to_come() + to_come)
        return num_rows <= limits.num_rows and num_bytes <= limits.cache_bytes

    def begin(self, job: Job) -> Run:
        """Let `job` run from the next step on; if it raises, nothing runs more than before."""
        request = job.request
        prompt = list(request.prompt_ids)
        capacity = self._capacity(request)
        sequence = self._begun(self._kept_as(request), prompt, capacity)
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
            own=OwnTurns(request.own_ids, request.params),
        )
        self.runs.append(run)
        return run

    def drop(self, run: Run) -> None:
        """Take `run` out and keep the part of its prompt that was read."""
        request = run.job.request
        row = run.rows[0]
        # no logits have shown yet that a prompt read in part is sound
        key = self._kept_as(request)
        if key and (not run.unread or row.sequence.is_sound):
            ids = (*request.prompt_ids, *row.ids)
            if (kept := _kept(row.sequence)) is not None:
                self._prefixes.put(key, ids, kept)
        self.runs.remove(run)

    def _kept_as(self, request: GenerationRequest) -> str:
        """The dialogue that may keep what is read of `request`: none after an erasure."""
        is_whole = request.num_erasures >= self._prefixes.num_erasures
        return request.sequence_key if is_whole else ""

    def _capacity(self, request: GenerationRequest) -> int:
        wanted = len(request.prompt_ids) + request.params.max_new_tokens
        return min(wanted, self.network.shape.window)

    @torch.inference_mode()
    def step(self, num_runs: int) -> int:
        """Read on in prompts and add a token to every reply; returns how many tokens were drawn.

        At most `num_runs` take part, those that did not in the last step first. If it raises,
        nothing has changed.
        """
        taking_part = self.runs[:num_runs]
        parts = _parts(taking_part)
        way = self._decoder or self.network
        logits = way.forward([part.piece for part in parts])
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
        if not wanting:
            return _Drawn([], [], [])
        branches = [self._branches(part) for part in wanting]
        places = [
            Place(part.run, row, number)
            for number, (part, others) in enumerate(zip(wanting, branches, strict=True))
            for row in (part.row, *others)
        ]
        tokens = draw_tokens(places, logits, self._end_ids)
        failed = {id(token.run): token.run for token in tokens if not token.is_sound}
        branched = [
            (part.run, others)
            for part, others in zip(wanting, branches, strict=True)
            if others and id(part.run) not in failed
        ]
        sound = [token for token in tokens if id(token.run) not in failed]
        return _Drawn(list(failed.values()), branched, sound)

    def _branches(self, part: _Part) -> list[Row]:
        """One prompt was read for all candidates: each goes on in a sequence of its own."""
        run, first = part.run, part.row.sequence
        if len(run.rows) == run.params.num_candidates:
            return []
        return [
            Row(self._copied(first, run.capacity), number)
            for number in range(1, run.params.num_candidates)
        ]

    def _begun(self, key: str, prompt: Sequence[int], capacity: int) -> KvSequence:
        """A sequence with the longest kept prefix of `prompt`, in a slot where one is free."""
        decoder, shape = self._decoder, self.network.cache_shape
        if decoder is None or not decoder.has_slot(capacity):
            return self._prefixes.take(key, prompt, shape, capacity)
        prefix = self._prefixes.take(key, prompt, shape, 0)  # the slot has the room
        return decoder.seat(prefix, capacity)

    def _copied(self, sequence: KvSequence, capacity: int) -> KvSequence:
        if self._decoder is None or not self._decoder.has_slot(capacity):
            return sequence.copy(sequence.length, capacity)
        return self._decoder.seat(sequence, capacity)

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

    def _add(self, token: Token) -> None:
        run, row, request = token.run, token.row, token.run.job.request
        run.first_token_at = run.first_token_at or time.monotonic()
        row.logprobs.append(token.logprob)
        if token.token_id in self._end_ids:
            row.finish_reason, row.end_id = FinishReason.STOP, token.token_id
            return
        row.ids.append(token.token_id)
        room = self.network.shape.window - len(request.prompt_ids)
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


def _kept(sequence: KvSequence) -> KvSequence | None:
    """`sequence` for the next turn: out of its slot, which is for who is running."""
    if not isinstance(sequence, SlotSequence):
        return sequence
    try:
        return sequence.copy(sequence.length, sequence.length)
    except RuntimeError as error:
        if not is_memory_fault(error):
            raise
        return None  # the next turn reads everything again
