"""What cancellation and rest leave in the engine for GPT-2s."""

import asyncio

import pytest

from bot.engine.batching.runner import Runner
from bot.engine.batching.running_request import Run
from bot.engine.protocol import Cancellation
from bot.engine.scheduler import Job
from bot.errors import WithdrawnError
from tests.engine.running import SHORT, OpenedLocal, start


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


async def test_the_engine_rests_and_wakes_up_again(local: OpenedLocal) -> None:
    for _ in range(30):
        await start(local, params=SHORT)
        await local.settle()
    assert not local.engine._worker._is_working
