"""Who is answered when: places in the queue, fairness, and room for all."""

import asyncio
from dataclasses import replace

from bot.engine.batching.loader import LoadedGpt2
from bot.engine.checks import EngineLimits
from tests.engine.running import (
    EXACTLY_8,
    LONG,
    SHORT,
    Gate,
    OpenedLocal,
    open_local,
    start,
)


async def test_places_follow_whose_turn_it_is(narrow: OpenedLocal) -> None:
    gate = Gate(narrow.network.before.append)
    places: dict[str, list[int]] = {"own": [], "other": []}
    params = replace(EXACTLY_8, num_candidates=2)
    first = start(narrow, params=params, user_id=1)
    await gate.until_reached()
    tasks = [
        start(narrow, params=params, user_id=1, on_position=places["own"].append),
        start(narrow, params=params, user_id=2, on_position=places["other"].append),
    ]
    await asyncio.sleep(0)  # both are waiting
    gate.open()
    await asyncio.gather(first, *tasks)
    assert places == {"own": [1, 0], "other": [0]}


async def test_a_member_with_a_hundred_requests_does_not_delay_the_others(
    loaded_gpt2: LoadedGpt2,
) -> None:
    async def steps_of_the_others(num_flooding: int) -> int:
        opened = open_local(loaded_gpt2, EngineLimits(num_rows=4))
        last_step = 0

        def note(*_: int) -> None:
            nonlocal last_step
            last_step = opened.network.num_passes

        flooding = asyncio.Event()
        flood = [
            start(opened, params=EXACTLY_8, user_id=1, on_token=lambda *_: flooding.set())
            for _ in range(num_flooding)
        ]
        if flood:
            await flooding.wait()
        others = [
            start(opened, params=EXACTLY_8, user_id=user, on_token=note) for user in range(2, 22)
        ]
        await asyncio.gather(*others)
        made = await asyncio.gather(*flood)
        assert len(made) == num_flooding
        assert num_flooding == 0 or last_step < opened.network.num_passes
        await opened.engine.close()
        return last_step

    alone, beside = await steps_of_the_others(0), await steps_of_the_others(100)
    assert alone >= 5 * 8
    assert beside <= 2 * alone


async def test_a_request_that_needs_every_place_is_not_starved_by_small_ones(
    narrow: OpenedLocal,
) -> None:
    """Small requests keep coming; the large one waits until those before it have ended."""
    order: list[str] = []

    async def ask(name: str, num_candidates: int, user_id: int) -> None:
        params = replace(EXACTLY_8, num_candidates=num_candidates)
        await start(narrow, params=params, user_id=user_id)
        order.append(name)

    async def keep_asking(user_id: int) -> None:
        for _ in range(12):
            await ask("small", 1, user_id)

    async with asyncio.TaskGroup() as tasks:
        for user_id in range(4):
            tasks.create_task(keep_asking(user_id))
        tasks.create_task(ask("large", 16, 99))
    assert order.index("large") < 12


async def test_a_request_larger_than_the_budget_runs_alone(loaded_gpt2: LoadedGpt2) -> None:
    opened = open_local(loaded_gpt2, EngineLimits(num_rows=4, cache_bytes=50_000))
    params = replace(LONG, num_candidates=16)
    many = [start(opened, params=SHORT, sequence_key="s") for _ in range(4)]
    large = [start(opened, params=params, sequence_key="l") for _ in range(2)]
    sizes: set[int] = set()
    opened.network.after.append(lambda pieces, _: sizes.add(len(pieces)))
    made = await asyncio.gather(*many, *large)
    assert [len(completions) for completions in made] == [1, 1, 1, 1, 16, 16]
    assert max(sizes) == 16
    await opened.until_idle_and_empty()
    await opened.engine.close()


async def test_what_runs_and_what_is_kept_stay_in_the_budget_together(
    loaded_gpt2: LoadedGpt2,
) -> None:
    limits = EngineLimits(num_rows=16, cache_bytes=400_000)
    opened = open_local(loaded_gpt2, limits)
    totals: list[int] = []

    def weigh(*_: object) -> None:
        assert opened.engine._worker.runner is not None
        totals.append(
            opened.engine._worker.runner.num_bytes + opened.engine._worker.prefixes.num_bytes
        )

    opened.network.after.append(weigh)
    await asyncio.gather(
        *(
            start(
                opened,
                prompt_ids=tuple(range(number, 20 + 2 * number)),
                params=replace(SHORT, num_candidates=1 + number % 4),
                sequence_key=str(number % 9),
                user_id=number,
            )
            for number in range(40)
        )
    )
    assert 200_000 < max(totals) <= limits.cache_bytes
    await opened.until_idle_and_empty()
    await opened.engine.close()
