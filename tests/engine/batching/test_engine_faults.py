"""The engine for GPT-2s when the model or the device fails: who is told, and what is kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bot.engine.batching import drawing
from bot.engine.batching.kv_cache import KvSequence, PrefixCache
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Piece
from bot.engine.batching.runner import Runner
from bot.engine.protocol import GenerationRequest
from bot.engine.pulse import UNKNOWN_SECONDS
from bot.engine.sampling.sampler import Choice, pick
from bot.engine.scheduler import Job
from bot.errors import (
    EngineMemoryError,
    NumericError,
)
from tests.engine.running import FREE, LONG, SHORT, OpenedLocal, fail_with, outcomes_of, start

SPOILT = 77  # a token that no other prompt of these tests holds


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def raise_where(
    opened: OpenedLocal, applies: Callable[[Sequence[Piece]], bool], error: BaseException
) -> None:
    def look(pieces: Sequence[Piece]) -> None:
        if applies(pieces):
            raise error

    opened.network.before.append(look)


def spoil(value: float) -> Callable[[Sequence[Piece], Tensor], None]:
    """Replace the logits of every sequence whose prompt holds SPOILT."""
    spoilt: set[int] = set()

    def change(pieces: Sequence[Piece], logits: Tensor) -> None:
        rows = [piece for piece in pieces if piece.wants_logits]
        spoilt.update(id(piece.sequence) for piece in pieces if SPOILT in piece.ids)
        for number, piece in enumerate(rows):
            if id(piece.sequence) in spoilt:
                logits[number] = value

    return change


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
async def test_numbers_that_are_not_finite_fail_their_own_request_alone(
    local: OpenedLocal, value: float
) -> None:
    expected = await start(local)
    local.network.after.append(spoil(value))
    prompt = (*local.prompt, SPOILT)
    tasks = [
        start(local, prompt_ids=prompt if number in (1, 4) else local.prompt, sequence_key="k")
        for number in range(6)
    ]
    outcomes = await outcomes_of(*tasks)
    for number, outcome in enumerate(outcomes):
        if number in (1, 4):
            assert isinstance(outcome, NumericError)
        else:
            assert isinstance(outcome, list)
            assert outcome[0].ids == expected[0].ids
    await local.until_idle_and_empty()


async def test_one_spoilt_candidate_fails_its_whole_request(local: OpenedLocal) -> None:
    def change(pieces: Sequence[Piece], logits: Tensor) -> None:
        if len(logits) == 3:
            logits[2, 5] = torch.nan

    local.network.after.append(change)
    with pytest.raises(NumericError):
        await start(local, params=replace(LONG, num_candidates=3))
    await local.until_idle_and_empty()
    assert len(local.engine._worker.prefixes) == 0


async def test_a_request_that_failed_leaves_nothing_in_the_prefix_cache(
    local: OpenedLocal, loaded_gpt2: LoadedGpt2
) -> None:
    expected = await start(local)

    def break_keys(pieces: Sequence[Piece], logits: Tensor) -> None:
        pieces[0].sequence.keys[:] = torch.nan
        logits[:] = torch.nan

    local.network.after.append(break_keys)
    with pytest.raises(NumericError):
        await start(local, sequence_key="k")
    assert len(local.engine._worker.prefixes) == 0
    local.network.after.clear()
    (again,) = await start(local, sequence_key="k")
    assert (again.ids, again.num_cached_tokens) == (expected[0].ids, 0)


def test_a_prompt_read_in_part_is_kept_only_where_it_is_sound(loaded_gpt2: LoadedGpt2) -> None:
    prefixes = PrefixCache(10**7)
    made = Runner(loaded_gpt2, prefixes, lambda run, error: None)
    for is_sound in (True, False):
        request = GenerationRequest((5,) * 250, LONG, sequence_key=str(is_sound))
        run = made.begin(Job(request))
        run.rows[0].sequence.keys.zero_()
        run.rows[0].sequence.values.fill_(0.0 if is_sound else torch.nan)
        run.rows[0].sequence.length = 100
        made.drop(run)
    assert list(prefixes._residents) == ["True"]


async def test_a_step_without_memory_says_nothing_of_how_fast_the_machine_is(
    local: OpenedLocal,
) -> None:
    fail_with(local, [MemoryError()])
    await outcomes_of(start(local))
    local.engine.pulse.tick(512)  # a long prompt comes next
    assert local.engine.pulse.patience_seconds == UNKNOWN_SECONDS
    local.engine.pulse.idle()


async def test_a_batch_without_memory_is_halved_and_everybody_is_answered(
    local: OpenedLocal,
) -> None:
    expected = [(await start(local, params=replace(FREE, seed=n)))[0].ids for n in range(12)]
    await start(local, sequence_key="kept")
    assert len(local.engine._worker.prefixes) == 1
    raise_where(local, lambda pieces: len(pieces) > 3, OUT_OF_MEMORY)
    sizes: list[int] = []
    local.network.after.append(lambda pieces, _: sizes.append(len(pieces)))
    outcomes = await outcomes_of(*(start(local, params=replace(FREE, seed=n)) for n in range(12)))
    assert [o[0].ids for o in outcomes if isinstance(o, list)] == expected
    assert max(sizes) == 3
    assert len(local.engine._worker.prefixes) == 0
    await local.until_idle_and_empty()


def test_whoever_had_to_wait_takes_part_in_the_next_step(loaded_gpt2: LoadedGpt2) -> None:
    made = Runner(loaded_gpt2, PrefixCache(0), lambda run, error: None)
    runs = [made.begin(Job(GenerationRequest((5, 6), LONG))) for _ in range(5)]
    for num_runs in (2, 2, 2, 1, 3):
        made.step(num_runs)
    assert [len(run.rows[0].ids) for run in runs] == [2, 2, 2, 2, 2]


async def test_a_step_that_fails_after_the_pass_is_made_again_as_it_was(
    local: OpenedLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory at the branching and at the drawing: nothing may be read or drawn twice."""
    params = [replace(FREE, seed=n, num_candidates=1 + n % 3) for n in range(6)]
    expected = [await start(local, params=p) for p in params]
    real_copy, num_copies = KvSequence.copy, 0

    def copy(self: KvSequence, length: int, capacity: int) -> KvSequence:
        nonlocal num_copies
        num_copies += 1
        if num_copies in (2, 5):
            raise OUT_OF_MEMORY
        return real_copy(self, length, capacity)

    num_draws = 0

    def pick_or_fail(logits: Tensor, choices: Sequence[Choice]) -> Tensor:
        nonlocal num_draws
        num_draws += 1
        if num_draws % 3 == 0 and len(choices) > 3:  # a lone request has three
            raise OUT_OF_MEMORY
        return pick(logits, choices)

    monkeypatch.setattr(KvSequence, "copy", copy)
    monkeypatch.setattr(drawing, "pick", pick_or_fail)
    outcomes = await outcomes_of(*(start(local, params=p) for p in params))
    for outcome, wanted in zip(outcomes, expected, strict=True):
        assert isinstance(outcome, list)
        assert [c.ids for c in outcome] == [c.ids for c in wanted]
        assert [c.logprobs for c in outcome] == [
            pytest.approx(c.logprobs, abs=1e-4) for c in wanted
        ]
    assert num_copies > 5
    assert num_draws > 6
    await local.until_idle_and_empty()


async def test_a_request_for_which_no_memory_can_be_had_waits_for_the_others(
    local: OpenedLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_begin, num_tries = Runner.begin, 0

    def begin(self: Runner, job: Job) -> object:
        nonlocal num_tries
        if self.runs:
            num_tries += 1
            raise OUT_OF_MEMORY
        return real_begin(self, job)

    monkeypatch.setattr(Runner, "begin", begin)
    outcomes = await outcomes_of(*(start(local, params=SHORT) for _ in range(3)))
    assert all(isinstance(outcome, list) for outcome in outcomes)
    assert num_tries > 2
    await local.until_idle_and_empty()


async def test_a_lone_request_for_which_no_memory_can_be_had_is_told(
    local: OpenedLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(local, params=SHORT, sequence_key="kept")
    errors: list[Exception] = [OUT_OF_MEMORY, OUT_OF_MEMORY]
    real_begin = Runner.begin

    def begin(self: Runner, job: Job) -> object:
        if errors:
            raise errors.pop()
        return real_begin(self, job)

    monkeypatch.setattr(Runner, "begin", begin)
    with pytest.raises(EngineMemoryError):
        await start(local)
    assert (errors, len(local.engine._worker.prefixes)) == (
        [],
        0,
    )  # once more without kept prefixes
    await start(local)
