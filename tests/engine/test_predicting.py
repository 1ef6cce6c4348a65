"""Next-word prediction by the engine that replies, against transformers' own forward pass."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bot.dialogue.sampling import SamplingParams
from bot.engine.batching.loader import LoadedGpt2, load_gpt2
from bot.engine.batching.reading import Gpt2Reader
from bot.engine.errands import Steps
from bot.engine.prediction import predict_steps
from bot.engine.protocol import LAST_LAYER, GenerationRequest, Prediction, PredictionRequest
from bot.engine.reference.loader import LoadedModel, load_model
from bot.errors import (
    ContextTooLongError,
    DeadlineError,
    EngineClosedError,
    InvalidSettingError,
    NumericError,
)
from tests.engine.oracle import by_transformers, finish
from tests.engine.running import Gate, Opened, OpenedLocal, OpenedReference

PARAMS = SamplingParams(no_repeat_ngram_size=2, seed=5)
REQUEST = PredictionRequest(tuple(range(1, 30)), PARAMS, 40, LAST_LAYER)


def check_same(found: Prediction, expected: Prediction) -> None:
    assert (found.ids, found.ended, found.seed) == (expected.ids, expected.ended, expected.seed)
    for step, other in zip(found.steps, expected.steps, strict=True):
        assert (step.drawn.token_id, step.drawn.allowed) == (other.drawn.token_id, True)
        assert step.survivors == other.survivors
        assert [token.token_id for token in step.likeliest] == [
            token.token_id for token in other.likeliest
        ]
        told = [token.probability for token in step.likeliest]
        assert told == pytest.approx([token.probability for token in other.likeliest], rel=1e-3)


def check_same_attention(found: Prediction, expected: Prediction) -> None:
    assert found.attention is not None
    assert expected.attention is not None
    assert found.attention.layer == expected.attention.layer
    assert found.attention.num_layers == expected.attention.num_layers
    weights = torch.tensor(found.attention.weights)
    assert weights.shape == (len(found.ids), len(found.ids))
    assert torch.allclose(weights, torch.tensor(expected.attention.weights), atol=1e-5)


@pytest.mark.parametrize("layer", [1, 2])
async def test_an_engine_goes_on_as_transformers_does_and_looks_at_the_same(
    layer: int, either: Opened, oracle: LoadedModel
) -> None:
    request = replace(REQUEST, layer=layer)
    expected = by_transformers(oracle, request)
    assert len(expected.steps) > 5
    found = await either.engine.predict(request)
    check_same(found, expected)
    check_same_attention(found, expected)


@pytest.fixture(scope="module")
def embedded(embedded_model: Path) -> tuple[LoadedGpt2, LoadedModel]:
    """The embedded model as our own network and as transformers runs it."""
    return load_gpt2(embedded_model, "cpu", "float32"), load_model(embedded_model, "cpu", "float32")


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_every_layer_of_the_embedded_model_looks_where_it_does_in_transformers(
    layer: int, embedded: tuple[LoadedGpt2, LoadedModel]
) -> None:
    ours, theirs = embedded
    request = replace(REQUEST, layer=layer, length=12)
    # read in pieces, as a long text is
    reader = Gpt2Reader(ours.network, ours.end_ids, capacity=64, step_tokens=7)
    found, expected = finish(predict_steps(reader, request)), by_transformers(theirs, request)
    check_same(found, expected)
    check_same_attention(found, expected)


async def test_no_attention_is_told_where_none_is_asked_for(either: Opened) -> None:
    assert (await either.engine.predict(replace(REQUEST, layer=None))).attention is None


async def test_an_engine_that_showed_its_attention_replies_as_before(
    opened: OpenedReference,
) -> None:
    asked = GenerationRequest(opened.prompt, replace(PARAMS, max_new_tokens=20))
    usual = opened.loaded.network.config._attn_implementation
    before = await opened.engine.generate(asked)
    await opened.engine.predict(REQUEST)
    assert opened.loaded.network.config._attn_implementation == usual
    assert (await opened.engine.generate(asked))[0].ids == before[0].ids


async def test_replies_are_made_while_a_text_goes_on(local: OpenedLocal) -> None:
    short = GenerationRequest(local.prompt, replace(PARAMS, max_new_tokens=8))
    alone = await local.engine.generate(short)
    quiet = await local.engine.predict(replace(REQUEST, length=200))
    gate, num_passes = Gate(local.network.before.append), list[int]()
    writing = asyncio.create_task(local.engine.predict(replace(REQUEST, length=200)))
    await gate.until_reached()
    counting = replace(short, on_token=lambda *_: num_passes.append(gate.num_passes))
    replies = [asyncio.create_task(local.engine.generate(counting)) for _ in range(3)]
    await asyncio.sleep(0)  # they are waiting
    gate.open()
    assert [(await reply)[0].ids for reply in replies] == [alone[0].ids] * 3
    assert await writing == quiet
    # after each step of the text one of the replies
    assert max(num_passes) <= 1 + 2 * 8 < len(quiet.steps)


async def test_another_architecture_replies_between_the_steps_of_a_long_text(
    opened: OpenedReference, gate: Gate
) -> None:
    """A task that waits for a reply waits a quarter of a second for texts, not to their end."""
    slow = opened.loaded.network.register_forward_pre_hook(lambda *_: time.sleep(0.02))
    gate.open()
    writing = asyncio.create_task(opened.engine.predict(replace(REQUEST, length=60)))
    await gate.until_reached()
    short = GenerationRequest(opened.prompt, replace(PARAMS, max_new_tokens=8))
    await opened.engine.generate(short)
    assert not writing.done()
    slow.remove()
    assert len((await writing).steps) > 0


async def test_a_text_goes_on_to_the_end_of_the_window_at_most(either: Opened) -> None:
    window = either.engine.info.window
    almost = replace(REQUEST, text_ids=(1, 2, 3) * 84, length=100)
    found = await either.engine.predict(almost)
    assert found.ended or len(found.ids) == window
    with pytest.raises(ContextTooLongError):
        await either.engine.predict(replace(REQUEST, text_ids=(1,) * window))


@pytest.mark.parametrize("layer", [0, 3, -7])
async def test_a_layer_that_is_not_there_is_one_sentence(layer: int, either: Opened) -> None:
    with pytest.raises(InvalidSettingError, match="`layer` must be between 1 and 2"):
        await either.engine.predict(replace(REQUEST, layer=layer))


async def test_a_text_that_takes_too_long_is_given_up(either: Opened) -> None:
    with pytest.raises(DeadlineError):
        await either.engine.predict(replace(REQUEST, deadline=time.monotonic() - 1))


def test_what_a_layer_looks_at_is_given_up_as_well_when_it_takes_too_long(
    embedded: tuple[LoadedGpt2, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = embedded
    seconds: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: sum(seconds))

    class SlowReader(Gpt2Reader):
        def attention(self, ids: Sequence[int], layer: int) -> Steps[list[list[float]] | None]:
            for step in super().attention(ids, layer):
                seconds.append(1.0)
                yield step
            raise AssertionError

    reader = SlowReader(ours.network, ours.end_ids, 64, step_tokens=8)
    with pytest.raises(DeadlineError):
        finish(predict_steps(reader, replace(REQUEST, length=2, deadline=1.5)))
    assert len(seconds) == 2


async def test_a_text_nobody_waits_for_any_more_takes_no_further_step(
    local: OpenedLocal, local_gate: Gate
) -> None:
    writing = asyncio.create_task(local.engine.predict(REQUEST))
    await local_gate.until_reached()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    local_gate.open()
    await local.until_idle_and_empty()
    assert local_gate.num_passes == 1


async def test_a_model_that_stumbles_fails_only_the_text(local: OpenedLocal) -> None:
    weight = local.network._wpe
    sound = weight.clone()
    weight.fill_(torch.nan)
    with pytest.raises(NumericError):
        await local.engine.predict(REQUEST)
    weight.copy_(sound)
    assert (await local.engine.predict(REQUEST)).steps


async def test_a_closed_engine_goes_on_with_nothing(either: Opened) -> None:
    writing = asyncio.create_task(either.engine.predict(replace(REQUEST, length=200)))
    await asyncio.sleep(0)
    await either.engine.close()
    with pytest.raises(EngineClosedError):
        await writing
    with pytest.raises(EngineClosedError):
        await either.engine.predict(REQUEST)
