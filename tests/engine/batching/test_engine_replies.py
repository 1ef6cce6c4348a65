"""What a reply of the local engine is: its end, its window, its stream, its seed."""

import asyncio
from dataclasses import replace

import pytest
import torch

from bot.dialogue.sampling import SamplingParams
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.protocol import FinishReason, GenerationRequest
from bot.engine.reference.loader import LoadedModel
from bot.errors import ContextTooLongError
from tests.engine.running import (
    FREE,
    GREEDY,
    OpenedLocal,
    one,
    open_local,
    open_reference,
)


async def test_a_stopped_reply_has_the_end_in_its_log_probabilities_only(
    local: OpenedLocal,
) -> None:
    def favour_the_end(_: object, logits: torch.Tensor) -> None:
        logits[:, 0] += 100

    local.network.after.append(favour_the_end)
    for least in (1, 4, 16):
        completion = await one(local, replace(FREE, min_new_tokens=least))
        assert completion.finish_reason is FinishReason.STOP
        assert (len(completion.ids), len(completion.logprobs)) == (least, least + 1)
        assert 0 not in completion.ids
        assert completion.end_id == 0


async def test_a_full_length_reply_ends_by_length(local: OpenedLocal) -> None:
    completion = await one(local, replace(GREEDY, min_new_tokens=16, max_new_tokens=16))
    assert (completion.finish_reason, completion.end_id) == (FinishReason.LENGTH, None)
    assert len(completion.ids) == len(completion.logprobs) == 16


@pytest.mark.parametrize("num_free", [1, 2, 9])
async def test_a_reply_is_cut_where_the_window_ends(
    local: OpenedLocal, oracle: LoadedModel, num_free: int
) -> None:
    prompt = (local.prompt * 60)[: 256 - num_free]
    params = replace(GREEDY, min_new_tokens=16, num_candidates=2)
    asked = GenerationRequest(prompt, params, sequence_key="full")
    for _ in range(2):  # the second time from what was kept
        first, second = await local.engine.generate(asked)
        assert first.ids == second.ids
        assert (len(first.ids), first.finish_reason) == (num_free, FinishReason.LENGTH)
    assert first.num_cached_tokens == 255 - num_free
    reference = open_reference(oracle)
    assert (await reference.generate(asked))[0].ids == first.ids
    await reference.close()


async def test_a_prompt_that_fills_the_window_is_refused(local: OpenedLocal) -> None:
    with pytest.raises(ContextTooLongError) as raised:
        await one(local, GREEDY, prompt_ids=(local.prompt * 60)[:256])
    assert raised.value.values == {"num_tokens": 256, "limit": 255}
    assert local.network.num_passes == 0


@pytest.mark.parametrize("ids", [(), (-1,), (382,), (10**6,)])
async def test_ids_outside_the_vocabulary_never_reach_the_model(
    local: OpenedLocal, ids: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"each in 0\.\.381"):
        await one(local, GREEDY, prompt_ids=ids)
    assert local.network.num_passes == 0
    await one(local, GREEDY, prompt_ids=(0, 381))


async def test_a_stream_equals_the_result(local: OpenedLocal) -> None:
    streams: list[dict[int, list[int]]] = [{} for _ in range(6)]

    def into(stream: dict[int, list[int]], candidate: int, token_id: int) -> None:
        stream.setdefault(candidate, []).append(token_id)

    made = await asyncio.gather(
        *(
            local.engine.generate(
                GenerationRequest(
                    local.prompt,
                    replace(FREE, num_candidates=number, seed=number),
                    on_token=lambda c, t, stream=stream: into(stream, c, t),  # type: ignore[misc]  # a default binds it
                )
            )
            for number, stream in enumerate(streams, 1)
        )
    )
    for stream, completions_ in zip(streams, made, strict=True):
        told = [stream[number] for number in range(len(completions_))]
        assert told == [list(completion.ids) for completion in completions_]


async def test_every_sampling_value_can_be_at_its_bounds(local: OpenedLocal) -> None:
    for params in (
        SamplingParams(0.1, 0, 0.05, 0.5, 2.0, 10, 10, 5.0, 1, 8, 16, 0),
        SamplingParams(2.0, 200, 1.0, 0.0, 1.0, 0, 0, 0.0, 16, 256, 1, 2**31 - 1),
        SamplingParams(0.1, 1, 1.0, 0.5, 2.0, 1, 1, 5.0, 16, 8, 16, 2**31 - 1),
    ):
        said = (tuple(range(1, 200)), (), (7,))
        made = await local.engine.generate(GenerationRequest(local.prompt, params, said))
        assert len(made) == params.num_candidates
        assert all(0 < len(c.ids) <= params.max_new_tokens for c in made)


async def test_seeds_reproduce_and_candidates_differ(local: OpenedLocal) -> None:
    params = replace(FREE, num_candidates=4)
    asked = GenerationRequest(local.prompt, params)
    first, again = [await local.engine.generate(asked) for _ in range(2)]
    assert [c.ids for c in first] == [c.ids for c in again]
    assert {c.seed for c in first} == {7}
    assert len({c.ids for c in first}) == 4
    drawn = await one(local, replace(FREE, seed=None))
    assert (await one(local, replace(FREE, seed=drawn.seed))).ids == drawn.ids
    assert (await one(local, replace(FREE, seed=None))).seed != drawn.seed


async def test_a_next_turn_reads_only_what_is_new(
    local: OpenedLocal, loaded_gpt2: LoadedGpt2
) -> None:
    num_read: list[int] = []
    local.network.before.append(lambda pieces: num_read.append(sum(len(p.ids) for p in pieces)))
    first = await one(local, replace(GREEDY, max_new_tokens=8), sequence_key="a")
    prompt = (*local.prompt, *first.ids, 0, 5, 6, 7)
    num_read.clear()
    second = await one(local, FREE, prompt_ids=prompt, sequence_key="a")
    assert second.num_cached_tokens >= len(local.prompt) + len(first.ids) - 1
    assert num_read[0] == len(prompt) - second.num_cached_tokens
    fresh = open_local(loaded_gpt2)
    anew = await one(fresh, FREE, prompt_ids=prompt)
    await fresh.engine.close()
    assert (anew.num_cached_tokens, anew.ids) == (0, second.ids)
    assert anew.logprobs == pytest.approx(second.logprobs, abs=1e-4)


async def test_times_and_counts_are_told(local: OpenedLocal) -> None:
    completion = await one(local, replace(FREE, min_new_tokens=8))
    assert completion.num_prompt_tokens == len(local.prompt)
    assert 0 <= completion.queued_seconds <= completion.first_token_seconds
    assert completion.first_token_seconds <= completion.total_seconds
    load = local.engine.load()
    assert load.tokens_per_second > 0
    assert (load.num_waiting, load.num_running) == (0, 0)
    info = local.engine.info
    assert (info.model, info.device, info.dtype, info.window) == ("tiny", "cpu", "float32", 256)


async def test_generation_leaves_the_random_numbers_of_others_alone(local: OpenedLocal) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    await one(local, replace(FREE, seed=None))
    assert torch.equal(torch.rand(4), expected)
