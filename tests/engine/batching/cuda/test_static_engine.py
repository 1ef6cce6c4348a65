"""An engine that makes its replies in slots, by steps that were recorded."""

import asyncio
import gc
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bot.dialogue.sampling import SamplingParams
from bot.engine.batching.cuda.opening import ready_for_cuda
from bot.engine.batching.cuda.slot_decoder import SlotDecoder
from bot.engine.batching.engine import LocalEngine
from bot.engine.batching.loader import LoadedGpt2
from bot.engine.batching.network import Piece
from bot.engine.checks import EngineLimits
from bot.engine.protocol import Completion, GenerationRequest
from bot.errors import EngineMemoryError, NumericError
from tests.engine.recording import recorded
from tests.engine.running import (
    FREE,
    GREEDY,
    OpenedLocal,
    Watched,
    fail_with,
    open_local,
    outcomes_of,
    start,
)


def open_static(loaded: LoadedGpt2, limits: EngineLimits) -> OpenedLocal:
    """An engine with slots; passes of the network are those of prompts and rows without a slot."""
    network = Watched(loaded.network)
    ready, left = ready_for_cuda(replace(loaded, network=network), limits, recorded)
    assert ready.decoder is not None
    thread = ThreadPoolExecutor(1, "engine", torch.set_num_threads, (1,))
    return OpenedLocal(LocalEngine(ready, "tiny", thread, left), network, tuple(range(1, 14)))


def taken_slots(opened: OpenedLocal) -> list[int]:
    runner = opened.engine._worker.runner
    assert runner is not None
    assert isinstance(runner._decoder, SlotDecoder)
    gc.collect()  # what failed holds its sequences by its traceback
    return [group.slots.num_slots - group.slots.num_free for group in runner._decoder.groups]


async def talk(opened: OpenedLocal, who: int, params: SamplingParams) -> list[Completion]:
    """Three turns of a dialogue, some with candidates."""
    rng, ids, made = random.Random(who), list[int](), list[Completion]()
    for turn in range(3):
        ids += rng.choices(range(382), k=rng.randint(1, 40))
        asked = replace(params, seed=who, num_candidates=rng.choice((1, 1, 3)))
        request = GenerationRequest(tuple(ids), asked, sequence_key=str(who % 11), user_id=who)
        made += await opened.engine.generate(request)
        ids += [*made[-1].ids, turn]
    return made


@pytest.mark.parametrize("kilobytes", [300, 4000], ids=["few slots", "many slots"])
async def test_an_engine_with_slots_gives_the_replies_of_one_without(
    loaded_gpt2: LoadedGpt2, kilobytes: int
) -> None:
    limits = EngineLimits(num_rows=16, cache_bytes=kilobytes * 1000)
    params = [replace(GREEDY, max_new_tokens=16, no_repeat_ngram_size=2), replace(FREE, top_k=40)]
    plain = open_local(loaded_gpt2, limits)
    static = open_static(loaded_gpt2, limits)
    told = []
    for opened in (plain, static):
        told.append(
            await asyncio.gather(*(talk(opened, who, params[who % 2]) for who in range(16)))
        )
        await opened.until_idle_and_empty()
    assert [[one.ids for one in talk] for talk in told[0]] == [
        [one.ids for one in talk] for talk in told[1]
    ]
    assert taken_slots(static) == [0]
    if kilobytes == 4000:
        assert any(one.num_cached_tokens for talk in told[1] for one in talk)
        assert static.network.num_passes < plain.network.num_passes
    for opened in (plain, static):
        await opened.engine.close()


async def test_slots_come_back_from_requests_that_fail_or_leave(
    loaded_gpt2: LoadedGpt2, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "bot")  # a record of a warning would hold the error and its slots
    opened = open_static(loaded_gpt2, EngineLimits(cache_bytes=4_000_000))

    def spoil(pieces: Sequence[Piece], logits: Tensor) -> None:
        if any(len(piece.ids) == 3 for piece in pieces):
            logits[0] = torch.nan

    opened.network.after.append(spoil)
    leaving = start(opened)
    tasks = [start(opened, prompt_ids=(1, 2, 3), params=replace(FREE, num_candidates=2)), leaving]
    await asyncio.sleep(0)
    leaving.cancel()
    outcomes = await outcomes_of(*tasks)
    assert isinstance(outcomes[0], NumericError)
    opened.network.after.clear()
    fail_with(opened, [torch.OutOfMemoryError("CUDA out of memory")])
    (outcome,) = await outcomes_of(start(opened))
    assert isinstance(outcome, EngineMemoryError)
    outcomes.clear()
    del outcome, tasks, leaving
    await opened.until_idle_and_empty()
    assert taken_slots(opened) == [0]
    await opened.engine.close()
