"""How likely given tokens are: both engines against transformers' own forward pass."""

import asyncio

import pytest
import torch

from bot.dialogue.sampling import SamplingParams
from bot.engine.protocol import GenerationRequest, Passage
from bot.engine.reference.loader import LoadedModel
from bot.errors import ContextTooLongError, EngineClosedError, NumericError
from tests.engine.running import Opened, OpenedLocal

PASSAGES = [
    Passage((0,), (5, 6, 7, 0)),
    Passage(tuple(range(1, 40)), tuple(range(40, 50))),
    Passage((3,), (4,)),
    *[Passage(tuple(range(1, 100)), tuple(range(20, 40))) for _ in range(8)],
]


def expected(loaded: LoadedModel, passage: Passage) -> list[float]:
    """One pass over the whole passage, the obvious way."""
    ids = torch.tensor([[*passage.prompt_ids, *passage.ids]])
    with torch.inference_mode():
        logprobs = loaded.network(ids).logits[0].log_softmax(dim=-1)
    first = len(passage.prompt_ids)
    return [float(logprobs[first + i - 1, token]) for i, token in enumerate(passage.ids)]


async def check(opened: Opened, oracle: LoadedModel) -> None:
    scored = await opened.engine.score(PASSAGES)
    for passage, logprobs in zip(PASSAGES, scored, strict=True):
        assert logprobs == pytest.approx(expected(oracle, passage), abs=1e-4)


async def test_an_engine_scores_as_transformers_does(either: Opened, oracle: LoadedModel) -> None:
    await check(either, oracle)


async def test_a_reply_is_scored_as_it_was_drawn(local: OpenedLocal) -> None:
    [completion] = await local.engine.generate(GenerationRequest(local.prompt))
    [scored] = await local.engine.score([Passage(local.prompt, completion.ids)])
    assert scored == pytest.approx(completion.logprobs[: len(completion.ids)], abs=1e-4)


async def test_passages_are_scored_while_replies_are_made(
    local: OpenedLocal, oracle: LoadedModel
) -> None:
    params = SamplingParams(max_new_tokens=20, seed=1)
    alone = await local.engine.generate(GenerationRequest(local.prompt, params))
    beside, _, _ = await asyncio.gather(
        local.engine.generate(GenerationRequest(local.prompt, params)),
        check(local, oracle),
        check(local, oracle),
    )
    assert beside[0].ids == alone[0].ids


async def test_a_passage_beyond_the_window_is_refused_before_the_model(either: Opened) -> None:
    with pytest.raises(ContextTooLongError):
        await either.engine.score([Passage((1,) * either.engine.info.window, (1,))])
    with pytest.raises(ValueError, match="prompt ids"):
        await either.engine.score([Passage((1,), ())])


async def test_a_number_that_is_none_fails_its_own_passages_only(local: OpenedLocal) -> None:
    weight = local.network._wpe
    sound = weight.clone()
    weight.fill_(torch.nan)
    with pytest.raises(NumericError):
        await local.engine.score(PASSAGES[:1])
    weight.copy_(sound)
    assert len(await local.engine.score(PASSAGES[:1])) == 1


async def test_a_closed_engine_scores_nothing(either: Opened) -> None:
    await either.engine.close()
    with pytest.raises(EngineClosedError):
        await either.engine.score(PASSAGES[:1])
