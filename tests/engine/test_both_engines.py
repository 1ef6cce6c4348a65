"""What a reply of either engine is: its end, its window, its stream, its seed."""

import asyncio
from dataclasses import replace

import pytest
import torch

from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import FinishReason, GenerationRequest
from bot.engine.reference.loader import LoadedModel
from bot.errors import ContextTooLongError
from tests.engine.running import (
    FREE,
    GREEDY,
    Gate,
    Opened,
    OpenedLocal,
    OpenedReference,
    one,
)

END_ID = 0  # of the tiny model


@pytest.mark.parametrize("least", [1, 4, 8, 16])
async def test_a_stopped_reply_has_the_end_in_its_log_probabilities_only(
    either: Opened, least: int
) -> None:
    def favour_the_end(logits: torch.Tensor) -> None:
        logits[..., END_ID] += 100

    either.after_pass(favour_the_end)
    completion = await one(either, replace(FREE, min_new_tokens=least))
    assert completion.finish_reason is FinishReason.STOP
    # a letter that was begun is ended first
    assert least <= len(completion.ids) < least + 4
    assert len(completion.logprobs) == len(completion.ids) + 1
    assert END_ID not in completion.ids
    assert completion.end_id == END_ID


async def test_a_full_length_reply_ends_by_length(either: Opened) -> None:
    completion = await one(either, replace(GREEDY, min_new_tokens=16, max_new_tokens=16))
    assert (completion.finish_reason, completion.end_id) == (FinishReason.LENGTH, None)
    assert len(completion.ids) == len(completion.logprobs) == 16


@pytest.mark.parametrize("num_free", [1, 2, 9])
async def test_a_reply_is_cut_where_the_window_ends(
    local: OpenedLocal, opened: OpenedReference, num_free: int
) -> None:
    prompt = (local.prompt * 60)[: 256 - num_free]
    params = replace(GREEDY, min_new_tokens=16, num_candidates=2)
    asked = GenerationRequest(prompt, params, sequence_key="full")
    for _ in range(2):  # the second time from what was kept
        first, second = await local.engine.generate(asked)
        assert first.ids == second.ids
        assert (len(first.ids), first.finish_reason) == (num_free, FinishReason.LENGTH)
    assert first.num_cached_tokens == 255 - num_free
    by_reference = (await opened.engine.generate(asked))[0]
    assert (by_reference.ids, by_reference.finish_reason) == (first.ids, FinishReason.LENGTH)


async def test_a_prompt_that_fills_the_window_is_refused(either: Opened, either_gate: Gate) -> None:
    with pytest.raises(ContextTooLongError) as raised:
        await one(either, GREEDY, prompt_ids=(either.prompt * 60)[:256])
    assert raised.value.values == {"num_tokens": 256, "limit": 255}
    assert either_gate.num_passes == 0


@pytest.mark.parametrize("ids", [(), (-1,), (382,), (10**6,)])
async def test_ids_outside_the_vocabulary_never_reach_the_model(
    either: Opened, either_gate: Gate, ids: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"prompt ids .* each in 0\.\.381"):
        await one(either, GREEDY, prompt_ids=ids)
    assert either_gate.num_passes == 0
    either_gate.open()
    await one(either, GREEDY, prompt_ids=(0, 381))


async def test_a_stream_equals_the_result(either: Opened) -> None:
    streams: list[dict[int, list[int]]] = [{} for _ in range(6)]

    def into(stream: dict[int, list[int]], candidate: int, token_id: int) -> None:
        stream.setdefault(candidate, []).append(token_id)

    made = await asyncio.gather(
        *(
            either.engine.generate(
                GenerationRequest(
                    either.prompt,
                    replace(FREE, num_candidates=number, max_new_tokens=64, seed=number),
                    on_token=lambda c, t, stream=stream: into(stream, c, t),  # type: ignore[misc]  # a default binds it
                )
            )
            for number, stream in enumerate(streams, 1)
        )
    )
    for stream, completions in zip(streams, made, strict=True):
        told = [stream[number] for number in range(len(completions))]
        assert told == [list(completion.ids) for completion in completions]


async def test_every_sampling_value_can_be_at_its_bounds(either: Opened) -> None:
    for params in (
        SamplingParams(0.1, 0, 0.05, 0.5, 2.0, 10, 10, 5.0, 1, 8, 16, 0),
        SamplingParams(2.0, 200, 1.0, 0.0, 1.0, 0, 0, 0.0, 16, 256, 1, 2**31 - 1),
        SamplingParams(0.1, 1, 1.0, 0.5, 2.0, 1, 1, 5.0, 16, 8, 16, 2**31 - 1),
    ):
        said = (tuple(range(1, 200)), (), (7,))
        made = await either.engine.generate(GenerationRequest(either.prompt, params, said))
        assert len(made) == params.num_candidates
        assert all(0 < len(c.ids) <= params.max_new_tokens for c in made)


async def test_seeds_reproduce_and_candidates_differ(either: Opened) -> None:
    asked = GenerationRequest(either.prompt, replace(FREE, num_candidates=4))
    first, again = [await either.engine.generate(asked) for _ in range(2)]
    assert [c.ids for c in first] == [c.ids for c in again]
    assert {c.seed for c in first} == {7}
    assert len({c.ids for c in first}) == 4
    seeded = {(await one(either, replace(FREE, seed=seed))).ids for seed in range(5)}
    assert len(seeded) == 5


async def test_a_drawn_seed_is_told_and_reproduces(either: Opened) -> None:
    drawn = await one(either, replace(FREE, seed=None))
    assert 0 <= drawn.seed < 2**31
    assert (await one(either, replace(FREE, seed=drawn.seed))).ids == drawn.ids
    assert (await one(either, replace(FREE, seed=None))).seed != drawn.seed


async def test_times_and_counts_are_told(either: Opened) -> None:
    completion = await one(either, replace(FREE, min_new_tokens=8))
    assert completion.num_prompt_tokens == len(either.prompt)
    assert 0 <= completion.queued_seconds <= completion.first_token_seconds
    assert completion.first_token_seconds <= completion.total_seconds
    load = either.engine.load()
    assert load.tokens_per_second > 0
    assert (load.num_waiting, load.num_running) == (0, 0)
    info = either.engine.info
    assert (info.model, info.device, info.dtype, info.window) == ("tiny", "cpu", "float32", 256)


@pytest.mark.parametrize("seed", [7, None])
async def test_generation_leaves_the_random_numbers_of_others_alone(
    either: Opened, seed: int | None
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    await one(either, replace(FREE, seed=seed))
    assert torch.equal(torch.rand(4), expected)


async def test_log_probabilities_are_those_of_a_plain_forward_pass(
    either: Opened, oracle: LoadedModel
) -> None:
    params = replace(FREE, temperature=0.5, top_k=20, repetition_penalty=1.5, seed=5)
    completion = await one(either, params)
    ends = completion.finish_reason is FinishReason.STOP
    ids = [*either.prompt, *completion.ids, *((END_ID,) if ends else ())]
    with torch.no_grad():
        table = oracle.network(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = [float(table[at - 1, ids[at]]) for at in range(len(either.prompt), len(ids))]
    assert completion.logprobs == pytest.approx(expected, abs=1e-4)
