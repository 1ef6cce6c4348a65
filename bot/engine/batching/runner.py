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

from bot.engine.batching.drawing import Draw, Token, draw_tokens
from bot.engine.batching.kv_cache import KvSequence, PrefixCache
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Piece
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
class _RowPiece:
    """The piece that a candidate adds to a step."""

    run: Run
    row: Row
    piece: Piece


class Runner:
    """Makes the replies of all running jobs together; lives in the engine's thread.

    `report(run, error)` is called for a run that alone has failed; it is taken out already.
    """

    def __init__(
        self,
        loaded: LoadedGpt2,
        prefixes: PrefixCache,
        report: Callable[[Run, BaseException], None],
    ) -> None:
        """Begin with no job."""
        self.runs: list[Run] = []
        self.network = loaded.network
        self._decoder = loaded.decoder
        self._end_ids = loaded.end_ids
        self._letters = loaded.letters
        self._prefixes = prefixes
        self._report = report

    @property
    def num_bytes(self) -> int:
        """Bytes of keys and values that the running jobs hold."""
        return sum(row.sequence.num_bytes for run in self.runs for row in run.rows)

    def reserved_bytes(self, *capacities: int) -> int:
        """The same with the candidates that have not branched off yet, and with `capacities`.

        These are the capacities of further sequences. What goes into free slots takes nothing.
        """
        to_come = [
            run.capacity
            for run in self.runs
            for _ in range(run.params.num_candidates - len(run.rows))
        ]
        to_come += capacities
        without = self._decoder.without_slot(to_come) if self._decoder else to_come
        return self.num_bytes + sum(map(self.network.cache_shape.num_bytes, without))

    def has_room(self, request: GenerationRequest, limits: EngineLimits) -> bool:
        """Whether `request` may run beside the others; alone, even a too large one may try."""
        if not self.runs:
            return True
        num_new = request.params.num_candidates
        num_rows = sum(run.params.num_candidates for run in self.runs) + num_new
        num_bytes = self.reserved_bytes(*[self._capacity(request)] * num_new)
        return num_rows <= limits.num_rows and num_bytes <= limits.cache_bytes

    def begin(self, job: Job) -> Run:
        """Let `job` run from the next step on; if it raises, nothing runs more than before."""
        request = job.request
        prompt = list(request.prompt_ids)
        capacity = self._capacity(request)
        sequence = self._new_sequence(self._kept_as(request), prompt, capacity)
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
        request, row = run.job.request, run.rows[0]
        key = self._kept_as(request)
        # no logits have shown yet that a prompt read in part is sound
        if key and (not run.unread or row.sequence.is_sound):
            try:
                kept = row.sequence.out_of_slot()
                self._prefixes.put(key, (*request.prompt_ids, *row.ids), kept)
            except RuntimeError as error:
                if not is_memory_fault(error):  # without it the next turn reads everything again
                    raise
        self.runs.remove(run)

    def _kept_as(self, request: GenerationRequest) -> str:
        """The dialogue that may keep what is read of `request`: none after an erasure."""
        is_whole = request.num_erasures >= self._prefixes.num_erasures
        return request.sequence_key if is_whole else ""

    def _capacity(self, request: GenerationRequest) -> int:
        wanted = len(request.prompt_ids) + request.params.max_new_tokens
        return min(wanted, self.network.shape.window)

    def num_tokens(self, num_runs: int) -> int:
        """How many tokens go through the network in a step of at most `num_runs`."""
        taking_part = self.runs[:num_runs]
        num_unread = sum(len(run.unread) for run in taking_part)
        num_rows = sum(len(run.rows) for run in taking_part if not run.unread)
        return num_rows + min(num_unread, CHUNK_TOKENS if num_rows else LONE_CHUNK_TOKENS)

    @torch.inference_mode()
    def step(self, num_runs: int) -> int:
        """Read on in prompts and add a token to every reply; returns how many tokens were drawn.

        At most `num_runs` take part, those that did not in the last step first. If it raises,
        nothing has changed.
        """
        taking_part = self.runs[:num_runs]
        parts = _parts(taking_part)
        logits = (self._decoder or self.network).forward([part.piece for part in parts])
        try:
            tokens = draw_tokens(self._draws(parts), logits, self._end_ids, self._letters)
        except BaseException:
            for part in parts:
                part.piece.sequence.length -= len(part.piece.ids)
            raise
        self.runs = [*self.runs[num_runs:], *taking_part]  # those that had to wait come first
        for part in parts:
            if part.run.unread:
                del part.run.unread[: len(part.piece.ids)]
        return self._accept(tokens)

    def _draws(self, parts: Sequence[_RowPiece]) -> list[Draw]:
        """A draw for every candidate of the pieces that want logits."""
        wanting = [part for part in parts if part.piece.wants_logits]
        return [
            Draw(part.run, row, number)
            for number, part in enumerate(wanting)
            for row in (part.row, *self._branches(part.run, part.row))
        ]

    def _branches(self, run: Run, first: Row) -> list[Row]:
        """One prompt was read for all candidates: each goes on in a sequence of its own."""
        if len(run.rows) == run.params.num_candidates:
            return []
        return [
            Row(self._copied(first.sequence, run.capacity), number)
            for number in range(1, run.params.num_candidates)
        ]

    def _new_sequence(self, key: str, prompt: Sequence[int], capacity: int) -> KvSequence:
        """A sequence with the longest kept prefix of `prompt`, in a slot where one is free."""
        decoder, shape = self._decoder, self.network.cache_shape
        if decoder is None or decoder.without_slot([capacity]):
            return self._prefixes.take(key, prompt, shape, capacity)
        prefix = self._prefixes.take(key, prompt, shape, 0)  # the slot has the room
        return decoder.into_slot(prefix, capacity)

    def _copied(self, sequence: KvSequence, capacity: int) -> KvSequence:
        seated = self._decoder.into_slot(sequence, capacity) if self._decoder else sequence
        return sequence.copy(sequence.length, capacity) if seated is sequence else seated

    def _accept(self, tokens: Sequence[Token]) -> int:
        """Let what was drawn become true; returns how many tokens of sound logits there are."""
        failed = {id(token.run): token.run for token in tokens if not token.is_sound}
        sound = [token for token in tokens if id(token.run) not in failed]
        for token in sound:
            token.run.chances.clear()
            if token.row not in token.run.rows:
                token.run.rows.append(token.row)
        for run in failed.values():
            self._fail(run, NumericError())
        for token in sound:
            self._add(token)
        return len(sound)

    def _add(self, token: Token) -> None:
        run, row, request = token.run, token.row, token.run.job.request
        run.first_token_at = run.first_token_at or time.monotonic()
        row.logprobs.append(token.logprob)
        if token.token_id in self._end_ids:
            row.finish_reason, row.end_id = FinishReason.STOP, token.token_id
            return
        row.ids.append(token.token_id)
        if self._letters is not None:
            row.letter = self._letters.after(row.letter, [token.token_id])
        if len(request.prompt_ids) + len(row.ids) >= run.capacity:
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


def _parts(runs: Sequence[Run]) -> list[_RowPiece]:
    """The last token of every reply that goes on, and as much of prompts as a step reads."""
    parts = [
        _RowPiece(run, row, Piece([row.ids[-1]], row.sequence))
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
            parts.append(_RowPiece(run, run.rows[0], Piece(chunk, run.rows[0].sequence, ends)))
            room -= len(chunk)
    return parts
