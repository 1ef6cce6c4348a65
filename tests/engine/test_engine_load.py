"""What an engine says of itself while it works."""

from dataclasses import replace

import pytest

from bot.engine.protocol import NUM_COUNTED
from bot.engine.throughput import CacheHits
from tests.engine.running import SHORT, Gate, OpenedLocal, OpenedReference, one, start


async def test_the_batch_is_counted_in_replies_not_in_requests(narrow: OpenedLocal) -> None:
    gate = Gate(narrow.network.before.append)
    task = start(narrow, params=replace(SHORT, num_candidates=2))
    await gate.until_reached()
    load = narrow.engine.load()
    assert (load.num_running, load.num_rows, load.max_rows) == (1, 2, 2)
    gate.open()
    await task
    await narrow.settle()
    assert narrow.engine.load().num_rows == 0


async def test_a_second_turn_counts_as_a_hit(local: OpenedLocal) -> None:
    before = local.engine.load()
    assert (before.cached_share, before.prefix_bytes) == (None, 0)
    prompt = local.prompt
    await one(local, SHORT, sequence_key="a")
    await local.settle()
    first = local.engine.load()
    assert first.cached_share == 0.0
    assert first.prefix_bytes
    assert first.max_prefix_bytes == 512 * 2**20
    second = await one(local, SHORT, sequence_key="a", prompt_ids=prompt)
    assert second.num_cached_tokens == len(prompt) - 1
    assert local.engine.load().cached_share == (len(prompt) - 1) / (2 * len(prompt))
    local.engine.forget(1)
    await local.settle()
    assert local.engine.load().prefix_bytes == 0


async def test_the_reference_engine_keeps_nothing(opened: OpenedReference) -> None:
    load = opened.engine.load()
    assert (load.cached_share, load.prefix_bytes, load.max_prefix_bytes) == (None, None, None)
    assert (load.num_rows, load.max_rows) == (0, 1)


def test_only_the_last_prompts_count() -> None:
    hits = CacheHits()
    for _ in range(NUM_COUNTED):
        hits.add(10, 0)
    for _ in range(NUM_COUNTED):
        hits.add(10, 5)
    assert hits.share() == pytest.approx(0.5)
