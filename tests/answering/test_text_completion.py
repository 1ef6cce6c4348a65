"""Texts that the engine goes on with: words that are not said, turns and times."""

import asyncio
import time
from dataclasses import replace

import pytest

from bot.answering.text_completion import NUM_FIRST_STEPS, TextCompleter, TextToComplete
from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import LAST_LAYER, Prediction, PredictionRequest, Prospect
from bot.errors import RefusedError, WrongInputError
from bot.playground.outside_engine import OutsideEngine
from tests.fakes import InlineTokenizerThread, ScriptedEngine

WISH = TextToComplete("my cat", SamplingParams(seed=7), 20)


def completer_on(engine: ScriptedEngine) -> TextCompleter:
    return TextCompleter(
        engine=engine,
        tokenizer=InlineTokenizerThread(),
        deadline_seconds=60,
        is_blocked=lambda text: "dog" in text,
    )


async def test_what_was_added_is_told_apart_with_its_words() -> None:
    engine = ScriptedEngine()
    engine.goes_on_with = " 야옹"
    completed = await completer_on(engine).complete(replace(WISH, layer=LAST_LAYER))
    assert completed.continuation.text == "my cat 야옹"
    assert (completed.continuation.added, completed.continuation.seed) == (" 야옹", 7)
    assert completed.attention is not None
    assert completed.attention.tokens[5:9] == ("t", " ", "\udcec", "\udc95")
    assert completed.attention.num_text_tokens == 6


async def test_words_that_are_not_said_are_refused_before_and_after() -> None:
    engine = ScriptedEngine()
    with pytest.raises(RefusedError, match="don't say"):
        await completer_on(engine).complete(replace(WISH, text="my dog"))
    assert engine.predicted == []
    engine.goes_on_with = "g"
    with pytest.raises(RefusedError, match="don't say"):
        await completer_on(engine).complete(replace(WISH, text="my do"))


async def test_a_likely_token_that_would_complete_such_a_word_is_not_shown() -> None:
    class Barking(ScriptedEngine):
        async def predict(self, request: PredictionRequest) -> Prediction:
            found = await super().predict(request)
            bark = Prospect(ord("g"), 0.4, allowed=True)
            steps = [replace(step, likeliest=(*step.likeliest, bark)) for step in found.steps]
            return replace(found, steps=tuple(steps))

    engine = Barking()
    engine.goes_on_with = "t so on"
    completed = await completer_on(engine).complete(replace(WISH, text="my do"))
    assert len(completed.first_steps) == NUM_FIRST_STEPS
    told = ["".join(token.text for token in step.likeliest) for step in completed.first_steps]
    assert told == ["tx", " xg", "sxg", "oxg", " xg"]


async def test_texts_come_one_after_the_other_and_their_waiting_counts() -> None:
    engine = ScriptedEngine()
    engine.gate.clear()
    completer = completer_on(engine)
    begun_at = time.monotonic()
    both = [asyncio.create_task(completer.complete(WISH)) for _ in range(2)]
    await engine.wait_until_predicting(1)
    await asyncio.sleep(0)
    assert len(engine.predicted) == 1
    later = time.monotonic()
    engine.gate.set()
    await asyncio.gather(*both)
    for request in engine.predicted:
        assert request.deadline is not None
        assert begun_at + 60 <= request.deadline <= later + 60


async def test_a_text_without_a_token_is_one_sentence() -> None:
    with pytest.raises(WrongInputError, match="knows none of these letters"):
        await completer_on(ScriptedEngine()).complete(replace(WISH, text=""))


async def test_outside_of_a_world_a_text_has_as_many_seconds_as_within() -> None:
    engine = ScriptedEngine()
    found = await OutsideEngine(engine).predict(
        PredictionRequest((1, 2), SamplingParams(seed=7), 3, deadline=time.monotonic() + 50)
    )
    assert len(found.steps) == 3
    [asked] = engine.predicted
    assert asked.deadline is not None
    assert asked.deadline - time.monotonic() == pytest.approx(50, abs=1)
