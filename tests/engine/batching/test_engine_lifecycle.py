"""The local engine's queue, cancellation, deadlines and close."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.runner import Runner
from bot.engine.batching.running_request import Run
from bot.engine.protocol import Cancellation
from bot.engine.scheduler import Job
from bot.errors import DeadlineError, EngineClosedError, WithdrawnError
from tests.engine.running import (
    SHORT,
    Gate,
    OpenedLocal,
    open_local,
    sleep_until,
    start,
)


def engine_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("engine")]


async def test_cancelling_stops_a_running_request_at_its_next_step(
    local: OpenedLocal, local_gate: Gate
) -> None:
    cancellation = Cancellation()
    tokens: list[int] = []
    stopped = start(local, cancellation=cancellation, on_token=lambda *_: tokens.append(1))
    other = start(local)
    await local_gate.until_reached()
    cancellation.cancel()
    local_gate.open()
    with pytest.raises(WithdrawnError):
        await stopped
    await other
    assert len(tokens) == 1  # of the step that was going on
    await local.until_idle_and_empty()


async def test_cancelling_the_task_stops_its_request(local: OpenedLocal, local_gate: Gate) -> None:
    task = start(local)
    await local_gate.until_reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    local_gate.open()
    await local.until_idle_and_empty()
    assert local_gate.num_passes == 1


@pytest.mark.parametrize("how", ["task", "cancellation"])
async def test_a_waiting_request_that_is_cancelled_never_runs(
    narrow: OpenedLocal, how: str
) -> None:
    gate, second_pass = (Gate(narrow.network.before.append, first) for first in (1, 2))
    cancellation = Cancellation()
    tokens: list[int] = []
    first = start(narrow, params=replace(SHORT, num_candidates=2))
    await gate.until_reached()
    waiting = start(narrow, cancellation=cancellation, on_token=lambda *token: tokens.extend(token))
    await asyncio.sleep(0)
    assert (narrow.engine.load().num_waiting, narrow.engine.load().num_running) == (1, 1)
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
    await narrow.until_idle_and_empty()
    assert tokens == []


async def test_a_request_cancelled_before_it_was_seen_leaves_nothing(local: OpenedLocal) -> None:
    tasks = [start(local) for _ in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert all(isinstance(outcome, list) for outcome in outcomes[1::2])
    await local.until_idle_and_empty()


async def test_a_request_cancelled_while_it_begins_never_runs(
    local: OpenedLocal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real_begin = Runner.begin

    def begin(self: Runner, job: Job) -> Run:
        assert job.future.cancel()  # as the event loop does, at any moment
        return real_begin(self, job)

    monkeypatch.setattr(Runner, "begin", begin)
    with pytest.raises(asyncio.CancelledError):
        await start(local)
    await local.until_idle_and_empty()
    assert (local.network.num_passes, caplog.records) == (0, [])


async def test_a_cancelled_request_leaves_its_read_prompt_for_the_next(
    local: OpenedLocal,
) -> None:
    cancellation = Cancellation()
    with pytest.raises(WithdrawnError):
        await start(
            local,
            sequence_key="a",
            cancellation=cancellation,
            on_token=lambda *_: cancellation.cancel(),
        )
    (again,) = await start(local, sequence_key="a")
    assert again.num_cached_tokens == len(local.prompt) - 1


async def test_a_deadline_stops_a_running_request_at_its_next_step(local: OpenedLocal) -> None:
    deadline = time.monotonic() + 0.05
    local.network.after.append(lambda *_: sleep_until(deadline))
    with pytest.raises(DeadlineError):
        await start(local, deadline=deadline)
    assert local.network.num_passes == 1


async def test_a_deadline_in_the_past_is_told_without_a_pass(local: OpenedLocal) -> None:
    with pytest.raises(DeadlineError):
        await start(local, deadline=time.monotonic() - 1)
    assert local.network.num_passes == 0
    await local.until_idle_and_empty()


async def test_a_deadline_passes_in_the_queue_too(narrow: OpenedLocal) -> None:
    deadline = time.monotonic() + 0.05
    narrow.network.before.append(lambda *_: sleep_until(deadline))
    running = [start(narrow) for _ in range(2)]
    late = start(narrow, deadline=deadline)
    with pytest.raises(DeadlineError):
        await late
    assert not any(task.done() for task in running)
    await asyncio.gather(*running)


async def test_close_stops_everything_and_leaves_no_thread(narrow: OpenedLocal) -> None:
    gate = Gate(narrow.network.before.append)
    tasks = [start(narrow, sequence_key=str(number)) for number in range(5)]
    await gate.until_reached()
    closing = asyncio.create_task(narrow.engine.close())
    await asyncio.sleep(0)
    gate.open()
    await closing
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [EngineClosedError] * 5
    assert len({id(outcome) for outcome in outcomes}) == 5  # each has a traceback of its own
    assert gate.num_passes == 1
    assert engine_threads() == []


async def test_close_may_be_called_twice_and_at_once(local: OpenedLocal) -> None:
    await asyncio.gather(local.engine.close(), local.engine.close())
    await local.engine.close()
    with pytest.raises(EngineClosedError):
        await start(local)
    assert local.engine.info.model == "tiny"
    assert local.engine.load().num_running == 0


async def test_a_close_that_was_cancelled_can_be_called_again(
    local: OpenedLocal, local_gate: Gate
) -> None:
    running = start(local)
    await local_gate.until_reached()
    closing = asyncio.create_task(local.engine.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    local_gate.open()
    with pytest.raises(EngineClosedError):
        await running
    await local.settle()
    await local.engine.close()
    assert engine_threads() == []


async def test_a_request_after_the_thread_has_ended_is_refused(loaded_gpt2: LoadedGpt2) -> None:
    opened = open_local(loaded_gpt2)
    opened.engine._thread.shutdown()  # as at the end of Python itself
    for _ in range(2):
        with pytest.raises(EngineClosedError):
            await start(opened)
    assert opened.engine.load().num_waiting == 0
    opened.engine._thread = ThreadPoolExecutor(1, "engine")
    await opened.engine.close()


async def test_the_engine_rests_and_wakes_up_again(local: OpenedLocal) -> None:
    for _ in range(30):
        await start(local, params=SHORT)
        await local.settle()
    assert not local.engine._worker._is_working


async def test_the_event_loop_stays_free_while_the_model_works(
    local: OpenedLocal, local_gate: Gate
) -> None:
    task = start(local)
    await local_gate.until_reached()
    started_at = time.monotonic()
    for _ in range(100):
        await asyncio.sleep(0)
    assert time.monotonic() - started_at < 0.5
    local_gate.open()
    await task
