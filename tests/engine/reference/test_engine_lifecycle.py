"""When the reference engine takes its requests, and that it stops inside of a pass."""

import asyncio
import time
from dataclasses import replace

import pytest

from bot.engine.protocol import Cancellation
from bot.errors import DeadlineError, EngineClosedError, WithdrawnError
from tests.engine.running import LONG, Gate, OpenedReference, sleep_until, start


@pytest.mark.parametrize("reason", ["cancelled", "deadline", "closed"])
async def test_an_unwanted_request_stops_inside_a_forward_pass(
    opened: OpenedReference, reason: str
) -> None:
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


async def test_requests_run_in_the_order_they_came(opened: OpenedReference, gate: Gate) -> None:
    order: list[int] = []
    tasks = []
    for number in range(6):
        task = start(opened, params=replace(LONG, max_new_tokens=8))
        task.add_done_callback(lambda _, number=number: order.append(number))  # type: ignore[misc]  # a default binds it
        tasks.append(task)
    gate.open()
    await asyncio.gather(*tasks)
    assert order == list(range(6))
