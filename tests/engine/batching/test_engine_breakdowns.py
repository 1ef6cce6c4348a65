"""The local engine when the device, a callback or the engine itself breaks."""

import asyncio
import gc
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bot.engine.batching.kv_cache import PrefixCache
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Piece
from bot.engine.batching.runner import Runner
from bot.engine.checks import EngineLimits
from bot.engine.protocol import Cancellation
from bot.engine.scheduler import WaitingLine
from bot.errors import (
    ChatError,
    EngineBrokenError,
    WithdrawnError,
)
from tests.engine.running import (
    LONG,
    SHORT,
    Gate,
    OpenedLocal,
    fail_with,
    open_local,
    outcomes_of,
    start,
)

SPOILT = 77  # a token that no other prompt of these tests holds


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    ],
    ids=lambda fault: str(fault)[:40],
)
async def test_a_broken_device_refuses_everything_that_follows(
    loaded_gpt2: LoadedGpt2, fault: Exception
) -> None:
    local = open_local(loaded_gpt2, EngineLimits(num_rows=2))
    gate = Gate(local.network.before.append)
    fail_with(local, [fault])
    tasks = [start(local) for _ in range(5)]
    await gate.until_reached()
    gate.open()
    assert [type(o) for o in await outcomes_of(*tasks)] == [EngineBrokenError] * 5
    with pytest.raises(EngineBrokenError):
        await start(local)
    assert gate.num_passes == 1
    await local.engine.close()


async def test_an_unknown_error_reaches_the_one_who_caused_it(local: OpenedLocal) -> None:
    culprits: set[int] = set()
    passes: list[tuple[int, bool]] = []  # how many were in it, and whether the culprit was

    def look(pieces: Sequence[Piece]) -> None:
        culprits.update(id(piece.sequence) for piece in pieces if SPOILT in piece.ids)
        is_spoilt = any(id(piece.sequence) in culprits for piece in pieces)
        passes.append((len(pieces), is_spoilt))
        if is_spoilt:
            raise RuntimeError("shape mismatch")

    gate = Gate(local.network.before.append)
    local.network.before.append(look)
    prompts = [(*local.prompt, SPOILT) if number == 4 else local.prompt for number in range(9)]
    first = start(local, prompt_ids=prompts[0])
    await gate.until_reached()
    others = [start(local, prompt_ids=prompt) for prompt in prompts[1:]]
    await asyncio.sleep(0)  # everybody is there before the second pass
    gate.open()
    outcomes = await outcomes_of(first, *others)
    (culprit,) = [outcome for outcome in outcomes if not isinstance(outcome, list)]
    assert culprit is outcomes[4]
    assert str(culprit) == "shape mismatch"
    assert not isinstance(culprit, ChatError)
    assert passes[passes.index((1, True)) + 1] == (8, False)  # the others go on together
    await start(local)
    await local.until_idle_and_empty()


@pytest.mark.parametrize("error", [LookupError(), StopIteration(), SystemExit(1)], ids=repr)
@pytest.mark.parametrize("name", ["on_token", "on_position"])
async def test_a_callback_that_fails_fails_its_own_request_only(
    loaded_gpt2: LoadedGpt2, error: BaseException, name: str
) -> None:
    local = open_local(loaded_gpt2, EngineLimits(num_rows=2))
    gate = Gate(local.network.before.append)

    def fail(*_: int) -> None:
        raise error

    first = start(local)
    await gate.until_reached()  # whoever comes now waits
    before, failing, after = start(local), start(local, **{name: fail}), start(local)
    last = start(local, params=replace(LONG, num_candidates=2), on_token=lambda *_: None)
    await asyncio.sleep(0)  # they are waiting
    gate.open()
    outcomes = await outcomes_of(first, before, failing, after, last)
    assert isinstance(outcomes[2], LookupError | RuntimeError)
    assert [isinstance(o, list) for o in outcomes] == [True, True, False, True, True]
    await local.until_idle_and_empty()
    await local.engine.close()


async def test_whoever_comes_after_a_failing_position_callback_is_told_the_right_place(
    narrow: OpenedLocal,
) -> None:
    gate = Gate(narrow.network.before.append)
    told: list[int] = []

    def fail(_: int) -> None:
        raise LookupError

    tasks = [start(narrow, params=replace(LONG, num_candidates=2))]
    await gate.until_reached()
    tasks += [start(narrow, on_position=fail), start(narrow, on_position=told.append)]
    await asyncio.sleep(0)  # they are waiting
    gate.open()
    assert [isinstance(o, list) for o in await outcomes_of(*tasks)] == [True, False, True]
    assert told == [0]


async def test_a_fault_of_the_engine_itself_answers_everybody_and_is_logged(
    loaded_gpt2: LoadedGpt2, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    local = open_local(loaded_gpt2, EngineLimits(num_rows=2))
    for broken, name in (
        (Runner, "drop"),
        (Runner, "begin"),
        (WaitingLine, "append"),
        (WaitingLine, "next"),
        (WaitingLine, "in_order"),
        (PrefixCache, "shrink"),
        (PrefixCache, "take"),
    ):
        real, errors = getattr(broken, name), [KeyError(name)]

        def fail(*args: object, real: object = real, errors: list[KeyError] = errors) -> object:
            if errors:
                raise errors.pop()
            assert callable(real)
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(broken, name, fail)
            tasks = [start(local, params=SHORT, sequence_key=str(n)) for n in range(5)]
            outcomes = await outcomes_of(*tasks)
            assert [o for o in outcomes if isinstance(o, KeyError)], name
            assert all(isinstance(o, list | KeyError) for o in outcomes), name
        await start(local, params=SHORT)
        await local.until_idle_and_empty()
    assert "the engine has failed" in caplog.text
    await local.engine.close()


async def test_a_failed_request_keeps_no_tensors(local: OpenedLocal) -> None:
    kept: list[weakref.ref[Tensor]] = []
    cancellation = Cancellation()

    def remember(_: Sequence[Piece], logits: Tensor) -> None:
        kept.append(weakref.ref(logits))
        cancellation.cancel()

    local.network.after.append(remember)
    (error,) = await outcomes_of(start(local, cancellation=cancellation))
    await local.settle()
    gc.collect()
    assert isinstance(error, WithdrawnError)
    assert kept
    assert all(reference() is None for reference in kept)
