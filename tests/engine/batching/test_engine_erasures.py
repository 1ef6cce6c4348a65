"""What the engine for GPT-2s keeps of requests from before an erasure: nothing."""

from dataclasses import replace

from bot.engine.protocol import GenerationRequest
from tests.engine.running import EXACTLY_8, Gate, OpenedLocal, outcomes_of, start


async def test_nothing_is_kept_of_what_was_said_before_an_erasure(local: OpenedLocal) -> None:
    request = GenerationRequest(local.prompt * 3, EXACTLY_8, sequence_key="ada")
    await local.engine.generate(request)
    [kept] = await local.engine.generate(request)
    local.engine.forget(1)
    request = replace(request, num_erasures=1)
    [anew] = await local.engine.generate(request)
    [kept_again] = await local.engine.generate(request)
    assert kept.num_cached_tokens == len(request.prompt_ids) - 1
    assert anew.num_cached_tokens == 0
    assert kept_again.num_cached_tokens == len(request.prompt_ids) - 1


async def test_a_request_that_knows_of_an_erasure_tells_the_engine(local: OpenedLocal) -> None:
    request = GenerationRequest(local.prompt * 3, EXACTLY_8, sequence_key="ada")
    await local.engine.generate(request)
    [anew] = await local.engine.generate(replace(request, num_erasures=1))
    assert anew.num_cached_tokens == 0


async def test_what_was_read_before_an_erasure_and_comes_after_it_is_not_kept(
    local: OpenedLocal,
) -> None:
    late = GenerationRequest(local.prompt * 3, EXACTLY_8, sequence_key="ada")
    fresh = replace(late, num_erasures=2)
    local.engine.forget(2)
    await local.engine.generate(replace(late, num_erasures=1))
    await local.settle()
    assert local.engine.load().prefix_bytes == 0
    await local.engine.generate(fresh)
    await local.engine.generate(late)  # nor does it take away what is kept
    [kept] = await local.engine.generate(fresh)
    assert kept.num_cached_tokens == len(fresh.prompt_ids) - 1


async def test_a_reply_that_is_running_at_an_erasure_is_not_kept(local: OpenedLocal) -> None:
    def forget_now(candidate: int, token_id: int) -> None:
        local.engine.forget(1)

    request = GenerationRequest(local.prompt * 3, EXACTLY_8, sequence_key="ada")
    await local.engine.generate(replace(request, on_token=forget_now))
    await local.settle()
    assert local.engine.load().prefix_bytes == 0
    [anew] = await local.engine.generate(replace(request, num_erasures=1))
    assert anew.num_cached_tokens == 0


async def test_a_request_that_waits_at_an_erasure_is_not_kept(narrow: OpenedLocal) -> None:
    gate = Gate(narrow.network.before.append)
    keys = ("ada", "ben", "cleo", "dan")  # two of them run, two wait
    tasks = [start(narrow, params=EXACTLY_8, sequence_key=key) for key in keys]
    await gate.until_reached()
    narrow.engine.forget(1)
    gate.open()
    await outcomes_of(*tasks)
    assert narrow.engine.load().prefix_bytes == 0
    await start(narrow, params=EXACTLY_8, sequence_key="ada", num_erasures=1)
    await narrow.settle()
    assert narrow.engine.load().prefix_bytes
