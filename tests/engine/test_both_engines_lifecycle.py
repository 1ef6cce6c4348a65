"""Either engine's queue, cancellation, deadlines and close."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bot.engine.batching.engine import LocalEngine
from bot.engine.protocol import Cancellation
from bot.engine.reference.engine import ReferenceEngine
from bot.errors import DeadlineError, EngineClosedError, WithdrawnError
from tests.engine.running import (
    EXACTLY_8,
    LONG,
    SHORT,
    Gate,
    Opened,
    engine_threads,
    outcomes_of,
    sleep_until,
    start,
)


async def test_cancelling_stops_a_running_request_at_its_next_step(
    either: Opened, either_gate: Gate
) -> None:
    cancellation = Cancellation()
    tokens: list[int] = []
    stopped = start(either, cancellation=cancellation, on_token=lambda *_: tokens.append(1))
    other = start(either)
    await either_gate.until_reached()
    cancellation.cancel()
    either_gate.open()
    with pytest.raises(WithdrawnError):
        await stopped
    await other
    assert len(tokens) <= 1  # of the step that was going on
    await either.until_idle_and_empty()


async def test_a_cancelled_request_that_runs_alone_takes_no_further_pass(
    either: Opened, either_gate: Gate
) -> None:
    cancellation = Cancellation()
    stopped = start(either, cancellation=cancellation)
    await either_gate.until_reached()
    cancellation.cancel()
    either_gate.open()
    with pytest.raises(WithdrawnError):
        await stopped
    assert either_gate.num_passes == 1


async def test_cancelling_the_task_stops_its_request(either: Opened, either_gate: Gate) -> None:
    task = start(either)
    await either_gate.until_reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    either_gate.open()
    await either.until_idle_and_empty()
    assert either_gate.num_passes == 1


@pytest.mark.parametrize("how", ["task", "cancellation"])
async def test_a_waiting_request_that_is_cancelled_never_runs(
    either_narrow: Opened, how: str
) -> None:
    gate, second_pass = (Gate(either_narrow.before_pass, first) for first in (1, 2))
    cancellation = Cancellation()
    tokens: list[int] = []
    first = start(either_narrow, params=replace(SHORT, num_candidates=2))
    await gate.until_reached()
    waiting = start(
        either_narrow, cancellation=cancellation, on_token=lambda *token: tokens.extend(token)
    )
    await asyncio.sleep(0)
    load = either_narrow.engine.load()
    assert (load.num_waiting, load.num_running) == (1, 1)
    if how == "task":
        waiting.cancel()
        await asyncio.wait([waiting])
    else:
        cancellation.cancel()
    gate.open()
    with pytest.raises((asyncio.CancelledError, WithdrawnError)):
        await waiting
    assert not first.done()
    second_pass.open()
    await first
    await either_narrow.until_idle_and_empty()
    assert tokens == []


async def test_a_request_cancelled_before_it_was_seen_leaves_nothing(either: Opened) -> None:
    tasks = [start(either, params=SHORT) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await outcomes_of(*tasks)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert all(isinstance(outcome, list) for outcome in outcomes[1::2])
    await either.until_idle_and_empty()


async def test_a_deadline_stops_a_running_request_at_its_next_step(
    either: Opened, either_gate: Gate
) -> None:
    deadline = time.monotonic() + 0.05
    either_gate.open()
    either.after_pass(lambda _: sleep_until(deadline))
    with pytest.raises(DeadlineError):
        await start(either, deadline=deadline)
    assert either_gate.num_passes == 1


async def test_a_deadline_in_the_past_is_told_without_a_pass(
    either: Opened, either_gate: Gate
) -> None:
    with pytest.raises(DeadlineError):
        await start(either, deadline=time.monotonic() - 1)
    assert either_gate.num_passes == 0
    await either.until_idle_and_empty()


async def test_a_deadline_passes_in_the_queue_too(either_narrow: Opened) -> None:
    deadline = time.monotonic() + 0.05
    either_narrow.before_pass(lambda *_: sleep_until(deadline))
    running = [start(either_narrow) for _ in range(2)]
    late = start(either_narrow, deadline=deadline)
    with pytest.raises(DeadlineError):
        await late
    assert not any(task.done() for task in running)
    await asyncio.gather(*running)


async def test_waiting_requests_are_told_their_place(either_narrow: Opened) -> None:
    gate = Gate(either_narrow.before_pass)
    places: list[list[int]] = [[] for _ in range(5)]
    params = replace(EXACTLY_8, num_candidates=2)  # one at a time
    tasks = [start(either_narrow, params=params, on_position=told.append) for told in places]
    await gate.until_reached()
    load = either_narrow.engine.load()
    assert (load.num_waiting, load.num_running) == (4, 1)
    gate.open()
    await asyncio.gather(*tasks)
    assert places == [[], [0], [1, 0], [2, 1, 0], [3, 2, 1, 0]]


async def test_a_place_behind_a_failing_position_callback_is_told_rightly(
    either_narrow: Opened,
) -> None:
    gate = Gate(either_narrow.before_pass)
    told: list[int] = []

    def fail(_: int) -> None:
        raise LookupError

    tasks = [start(either_narrow, params=replace(LONG, num_candidates=2))]
    await gate.until_reached()
    tasks += [
        start(either_narrow, on_position=fail),
        start(either_narrow, on_position=told.append),
    ]
    await asyncio.sleep(0)  # they are waiting
    gate.open()
    assert [isinstance(o, list) for o in await outcomes_of(*tasks)] == [True, False, True]
    assert told == [0]


async def test_close_stops_everything_and_leaves_no_thread(either_narrow: Opened) -> None:
    gate = Gate(either_narrow.before_pass)
    tasks = [start(either_narrow, sequence_key=str(number)) for number in range(5)]
    await gate.until_reached()
    closing = asyncio.create_task(either_narrow.engine.close())
    await asyncio.sleep(0)
    gate.open()
    await closing
    outcomes = await outcomes_of(*tasks)
    assert [type(outcome) for outcome in outcomes] == [EngineClosedError] * 5
    assert len({id(outcome) for outcome in outcomes}) == 5  # each has a traceback of its own
    assert gate.num_passes == 1
    assert engine_threads() == []


async def test_close_may_be_called_twice_and_at_once(either: Opened) -> None:
    await asyncio.gather(either.engine.close(), either.engine.close())
    await either.engine.close()
    with pytest.raises(EngineClosedError):
        await start(either)
    assert either.engine.info.model == "tiny"
    assert either.engine.load().num_running == 0


async def test_a_close_that_was_cancelled_can_be_called_again(
    either: Opened, either_gate: Gate
) -> None:
    running = start(either)
    await either_gate.until_reached()
    closing = asyncio.create_task(either.engine.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    either_gate.open()
    with pytest.raises(EngineClosedError):
        await running
    await either.settle()
    await either.engine.close()
    assert engine_threads() == []


async def test_a_request_after_the_thread_has_ended_is_refused(either: Opened) -> None:
    assert isinstance(either.engine, LocalEngine | ReferenceEngine)
    either.engine._thread.shutdown()  # as at the end of Python itself
    for _ in range(2):
        with pytest.raises(EngineClosedError):
            await start(either)
    assert either.engine.load().num_waiting == 0
    either.engine._thread = ThreadPoolExecutor(1, "engine")


async def test_the_event_loop_stays_free_while_the_model_works(
    either: Opened, either_gate: Gate
) -> None:
    task = start(either)
    await either_gate.until_reached()
    started_at = time.monotonic()
    for _ in range(100):
        await asyncio.sleep(0)
    assert time.monotonic() - started_at < 0.5
    either_gate.open()
    await task
