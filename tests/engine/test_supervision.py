"""An engine whose thread hangs or dies is told of, and replaced."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from bot.dialogue.sampling import SamplingParams
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.worker import Worker
from bot.engine.checks import EngineLimits
from bot.engine.protocol import GenerationRequest, Passage, PredictionRequest
from bot.engine.pulse import UNKNOWN_SECONDS
from bot.engine.supervision import MOST_REBUILDS, SupervisedEngine
from bot.errors import (
    ContextTooLongError,
    DeadlineError,
    EngineBrokenError,
    EngineClosedError,
    EngineStuckError,
    ModelError,
)
from tests.engine.running import SHORT, outcomes_of
from tests.engine.supervised import Opener, ask, left_behind


@pytest.fixture
def opener(loaded_gpt2: LoadedGpt2) -> Iterator[Opener]:
    opener = Opener(loaded_gpt2, EngineLimits(num_rows=2))
    yield opener
    opener.close()


@pytest.fixture
async def engine(opener: Opener) -> AsyncIterator[SupervisedEngine]:
    engine = await opener.supervised()
    yield engine
    closing = asyncio.create_task(engine.close())
    done, _ = await asyncio.wait({closing}, timeout=5)
    assert done


async def test_whoever_waits_for_a_hung_engine_is_told_and_the_next_one_answers(
    opener: Opener, engine: SupervisedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    hang = opener.hang()
    tasks = [ask(engine) for _ in range(5)]  # two of them run, three wait
    scoring = asyncio.create_task(engine.score([Passage((1,), (2,))]))
    await hang.until_reached()
    await opener.looks.until(lambda: len(opener.networks) == 2)
    assert [type(o) for o in await outcomes_of(*tasks)] == [EngineStuckError] * 5
    with pytest.raises(EngineStuckError):
        await scoring
    (completion,) = await ask(engine)
    assert completion.ids
    assert len(await engine.score([Passage((1,), (2, 3))])) == 1
    assert (await engine.predict(PredictionRequest((1, 2), SamplingParams(), 3))).steps
    assert "in __call__" in caplog.text  # the hang's own line
    hang.release()


async def test_a_long_round_is_waited_for_and_the_event_loop_stays_free(
    opener: Opener, engine: SupervisedEngine
) -> None:
    hang = opener.hang()
    task = ask(engine)
    await hang.until_reached()
    await opener.looks.let_pass(round(UNKNOWN_SECONDS))
    assert not task.done()
    hang.release()
    assert await task
    await opener.until_idle()
    await opener.looks.let_pass(2 * round(UNKNOWN_SECONDS))  # nothing to do is no hang
    assert await ask(engine)
    assert len(opener.networks) == 1


async def test_a_machine_that_is_known_to_be_quick_is_found_to_hang_within_seconds(
    opener: Opener, engine: SupervisedEngine
) -> None:
    await ask(engine)
    hang = opener.hang()
    task = ask(engine)
    await hang.until_reached()
    patience = opener.engines[0].pulse.patience_seconds
    assert patience < UNKNOWN_SECONDS
    await opener.looks.let_pass(int(patience) + 2)
    assert [type(o) for o in await outcomes_of(task)] == [EngineStuckError]
    hang.release()


async def test_a_thread_that_died_is_noticed_at_the_next_look_and_freed_before_the_next_is_opened(
    opener: Opener, engine: SupervisedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "_admit", fail)
        patch.setattr(Worker, "_give_up", fail)
        opener.may_open.clear()
        task = ask(engine)
        await opener.looks.until(task.done)
        assert isinstance(task.exception(), EngineStuckError)
    later = ask(engine)
    while opener.engines[0]._worker.runner is not None:  # noqa: ASYNC110  # nothing tells it
        await asyncio.sleep(0)
    assert len(opener.engines) == 1
    opener.may_open.set()
    assert await later


async def test_whoever_comes_while_the_next_one_is_opened_waits_for_it_as_long_as_it_may(
    opener: Opener, engine: SupervisedEngine
) -> None:
    hang, first = await left_behind(opener, engine)
    too_late, cancelled, patient = ask(engine, deadline=time.monotonic()), ask(engine), ask(engine)
    (outcome,) = await outcomes_of(too_late)
    assert isinstance(outcome, DeadlineError)
    assert engine.load().num_running == 0
    cancelled.cancel()
    opener.may_open.set()
    assert await patient
    assert cancelled.cancelled()
    assert isinstance(first.exception(), EngineStuckError)
    hang.release()


async def test_a_hung_thread_that_goes_on_frees_its_model_and_ends(
    opener: Opener, engine: SupervisedEngine
) -> None:
    hang = opener.hang()
    task = ask(engine)
    await hang.until_reached()
    (thread,) = [
        one for one in threading.enumerate() if one.ident == opener.engines[0].pulse._thread_id
    ]
    await opener.looks.until(lambda: len(opener.networks) == 2)
    assert isinstance((await outcomes_of(task))[0], EngineStuckError)
    del opener.engines[0]
    lost = weakref.ref(opener.networks.pop(0))
    hang.release()
    async with asyncio.timeout(5):
        await asyncio.gather(*engine._left_behind)
    thread.join(5)
    assert not thread.is_alive()
    del hang, task
    gc.collect()
    assert lost() is None


async def test_a_hung_thread_does_not_keep_the_engine_from_closing(opener: Opener) -> None:
    engine = await opener.supervised()
    hang = opener.hang()
    task = ask(engine)
    await hang.until_reached()
    closing = asyncio.create_task(engine.close())
    await opener.looks.until(closing.done)
    assert isinstance((await outcomes_of(task))[0], EngineClosedError)
    with pytest.raises(EngineClosedError):
        await ask(engine)
    await closing
    await engine.close()
    hang.release()


async def test_an_engine_can_be_closed_while_the_next_one_is_opened(opener: Opener) -> None:
    engine = await opener.supervised()
    hang, first = await left_behind(opener, engine)
    waiting = ask(engine)
    hang.release()
    await asyncio.sleep(0)
    await engine.close()
    outcomes = await outcomes_of(first, waiting)
    assert [type(outcome) for outcome in outcomes] == [EngineStuckError, EngineClosedError]


@pytest.mark.parametrize("fault", [ModelError("no memory"), OSError("gone")], ids=repr)
async def test_where_there_is_no_next_one_the_bot_has_to_start_again(
    opener: Opener, engine: SupervisedEngine, fault: Exception
) -> None:
    hang = opener.hang()
    opener.faults = [fault]
    first = ask(engine)
    await hang.until_reached()
    await opener.looks.until(first.done)
    second = ask(engine)
    outcomes = await outcomes_of(first, second)
    assert [type(outcome) for outcome in outcomes] == [EngineStuckError, EngineBrokenError]
    with pytest.raises(EngineBrokenError):
        await engine.score([Passage((1,), (2,))])
    hang.release()


async def test_an_engine_that_hangs_again_and_again_is_given_up(
    opener: Opener, engine: SupervisedEngine
) -> None:
    hangs, outcomes = [], []
    for number in range(MOST_REBUILDS + 1):
        hangs.append(opener.hang())
        task = ask(engine)
        await hangs[-1].until_reached()
        await opener.looks.until(task.done)
        outcomes += await outcomes_of(task)
        more = number + 2 if number < MOST_REBUILDS else number + 1
        await opener.looks.until(lambda more=more: len(opener.networks) == more)  # type: ignore[misc]  # a default that mypy cannot infer
    expected = [EngineStuckError] * MOST_REBUILDS + [EngineBrokenError]
    assert [type(outcome) for outcome in outcomes] == expected
    for hang in hangs:
        hang.release()


async def test_what_an_engine_says_of_a_request_is_handed_on(
    opener: Opener, engine: SupervisedEngine
) -> None:
    with pytest.raises(ContextTooLongError):
        await engine.predict(PredictionRequest((1,) * 300, SamplingParams(), 3))

    def fail(_: object) -> None:
        raise TimeoutError("the engine's own")

    opener.networks[0].before.append(fail)
    with pytest.raises(TimeoutError, match="the engine's own"):
        await ask(engine)


async def test_cancelling_a_caller_cancels_the_request(
    opener: Opener, engine: SupervisedEngine
) -> None:
    hang = opener.hang()
    task = ask(engine)
    await hang.until_reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    hang.release()
    assert await ask(engine)
    await opener.until_idle()
    assert engine.load().num_rows == 0
    assert opener.networks[0].num_passes > 1


async def test_an_erasure_empties_the_living_engine(
    opener: Opener, engine: SupervisedEngine
) -> None:
    await engine.generate(GenerationRequest(tuple(range(1, 14)), SHORT, sequence_key="ada"))
    await opener.until_idle()
    assert engine.load().prefix_bytes
    engine.forget(1)
    await opener.until_idle()
    assert engine.load().prefix_bytes == 0
    assert await ask(engine)


async def test_the_next_engine_knows_of_the_erasures_before_it(
    opener: Opener, engine: SupervisedEngine
) -> None:
    engine.forget(1)
    hang, _ = await left_behind(opener, engine)
    opener.may_open.set()
    await opener.looks.until(lambda: len(opener.engines) == 2)
    request = GenerationRequest(tuple(range(1, 14)), SHORT, sequence_key="ada")
    assert await engine.generate(request)
    await opener.until_idle()
    assert engine.load().prefix_bytes == 0
    hang.release()


async def test_a_request_that_waits_for_the_next_engine_at_an_erasure_is_not_kept(
    opener: Opener, engine: SupervisedEngine
) -> None:
    hang, first = await left_behind(opener, engine)
    request = GenerationRequest(tuple(range(1, 14)), SHORT, sequence_key="ada")
    waiting = asyncio.create_task(engine.generate(request))
    await asyncio.sleep(0)  # it is waiting
    engine.forget(1)
    opener.may_open.set()
    assert await waiting
    assert isinstance(first.exception(), EngineStuckError)
    assert engine.load().prefix_bytes == 0
    assert await engine.generate(replace(request, num_erasures=1))
    assert engine.load().prefix_bytes
    hang.release()
