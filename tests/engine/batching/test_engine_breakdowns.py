"""The engine for GPT-2s when a request or the engine itself breaks."""

import asyncio
from collections.abc import Sequence

import pytest

from bot.engine.batching.kv_cache import PrefixCache
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Piece
from bot.engine.batching.runner import Runner
from bot.engine.checks import EngineLimits
from bot.engine.scheduler import WaitingLine
from bot.errors import ChatError
from tests.engine.running import SHORT, Gate, OpenedLocal, open_local, outcomes_of, start

SPOILT = 77  # a token that no other prompt of these tests holds


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
