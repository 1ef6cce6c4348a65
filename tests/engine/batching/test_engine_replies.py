"""What a kept prefix spares a reply of the engine for GPT-2s."""

from dataclasses import replace

import pytest

from bot.engine.batching.loader import LoadedGpt2
from tests.engine.running import FREE, GREEDY, OpenedLocal, one, open_local


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
