"""The reference engine under cancellation, deadlines and close."""

import asyncio
import threading
import time
from dataclasses import replace

import pytest

from bot.engine.protocol import Cancellation
from bot.errors import (
    DeadlineError,
    EngineClosedError,
    WithdrawnError,
)
from tests.engine.running import LONG, SHORT, Gate, Opened, sleep_until, start


async def test_cancelling_stops_a_running_request_at_its_next_step(
    opened: Opened, gate: Gate
) -> None:
    cancellation = Cancellation()
    task = start(opened, cancellation=cancellation)
    await gate.until_reached()
    cancellation.cancel()
    gate.open()
    with pytest.raises(WithdrawnError):
        await task
    assert gate.num_passes == 1


@pytest.mark.parametrize("reason", ["cancelled", "deadline", "closed"])
async def test_an_unwanted_request_stops_inside_a_forward_pass(opened: Opened, reason: str) -> None:
    cancellation, deadline = Cancellation(), time.monotonic() + 0.2
    first, second = opened.loaded.network.transformer.h
    closing: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    num_passes = 0

    async def begin_to_close() -> None:
        closing.append(asyncio.create_task(opened.engine.close()))
        await asyncio.sleep(0)

    def become_unwanted(*_: object) -> None:
        match reason:
            case "cancelled":
                cancellation.cancel()
            case "deadline":
                sleep_until(deadline)
            case _:
                asyncio.run_coroutine_threadsafe(begin_to_close(), loop).result(5)

    def count(*_: object) -> None:
        nonlocal num_passes
        num_passes += 1

    first.register_forward_hook(become_unwanted)
    second.register_forward_hook(count)
    with pytest.raises((WithdrawnError, DeadlineError, EngineClosedError)):
        await start(
            opened,
            cancellation=cancellation,
            deadline=deadline if reason == "deadline" else None,
        )
    assert num_passes == 0
    await asyncio.gather(*closing)


async def test_cancelling_answers_a_waiting_request_while_another_runs(
    opened: Opened, gate: Gate
) -> None:
    second_pass = Gate(opened.loaded.network.register_forward_pre_hook, first=2)
    cancellation = Cancellation()
    running = start(opened)
    waiting = start(opened, cancellation=cancellation)
    await gate.until_reached()
    cancellation.cancel()
    gate.open()
    with pytest.raises(WithdrawnError):
        await waiting
    assert not running.done()
    second_pass.open()
    await running


async def test_cancelling_the_task_stops_its_request(opened: Opened, gate: Gate) -> None:
    task = start(opened)
    await gate.until_reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open()
    await start(opened, params=SHORT)
    assert gate.num_passes <= 1 + SHORT.max_new_tokens


async def test_cancelling_a_waiting_task_never_runs_its_request(opened: Opened, gate: Gate) -> None:
    running, waiting = start(opened), start(opened)
    await gate.until_reached()
    waiting.cancel()
    gate.open()
    await running
    num_passes = gate.num_passes
    await start(opened, params=SHORT)
    assert gate.num_passes <= num_passes + SHORT.max_new_tokens


async def test_deadline_stops_a_running_request_at_its_next_step(
    opened: Opened, gate: Gate
) -> None:
    deadline = time.monotonic() + 0.05
    gate.open()
    opened.loaded.network.register_forward_hook(lambda *_: sleep_until(deadline))
    with pytest.raises(DeadlineError):
        await start(opened, deadline=deadline)
    assert gate.num_passes == 1


async def test_deadline_in_the_past_is_told_without_a_forward_pass(
    opened: Opened, gate: Gate
) -> None:
    with pytest.raises(DeadlineError):
        await start(opened, deadline=time.monotonic() - 1)
    assert gate.num_passes == 0


async def test_requests_run_in_the_order_they_came(opened: Opened, gate: Gate) -> None:
    order: list[int] = []
    tasks = []
    for number in range(6):
        task = start(opened, params=replace(LONG, max_new_tokens=8))
        task.add_done_callback(lambda _, number=number: order.append(number))  # type: ignore[misc]  # a default binds it
        tasks.append(task)
    gate.open()
    await asyncio.gather(*tasks)
    assert order == list(range(6))


async def test_waiting_requests_are_told_their_place(opened: Opened, gate: Gate) -> None:
    places: dict[int, list[int]] = {number: [] for number in range(4)}
    tasks = [start(opened, on_position=places[number].append) for number in range(4)]
    await gate.until_reached()
    assert opened.engine.load().num_running == 1
    gate.open()
    await asyncio.gather(*tasks)
    assert places == {0: [], 1: [0], 2: [1, 0], 3: [2, 1, 0]}


async def test_a_failing_position_callback_fails_its_own_request_only(
    opened: Opened, gate: Gate
) -> None:
    def fail(_: int) -> None:
        raise LookupError

    running, failing, last = start(opened), start(opened, on_position=fail), start(opened)
    gate.open()
    with pytest.raises(LookupError):
        await failing
    await asyncio.gather(running, last)


async def test_close_stops_everything_and_leaves_no_thread(opened: Opened, gate: Gate) -> None:
    tasks = [start(opened) for _ in range(3)]
    await gate.until_reached()
    closing = asyncio.create_task(opened.engine.close())
    await asyncio.sleep(0)
    gate.open()
    await closing
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EngineClosedError] * 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("engine")]


async def test_close_may_be_called_twice_and_at_once(opened: Opened) -> None:
    await asyncio.gather(opened.engine.close(), opened.engine.close())
    await opened.engine.close()
    with pytest.raises(EngineClosedError):
        await start(opened)
    assert opened.engine.info.model == "tiny"


async def test_the_event_loop_stays_free_while_the_model_works(opened: Opened, gate: Gate) -> None:
    task = start(opened)
    await gate.until_reached()
    started_at = time.monotonic()
    for _ in range(100):
        await asyncio.sleep(0)
    assert time.monotonic() - started_at < 0.5
    gate.open()
    await task
