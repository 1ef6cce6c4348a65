"""Dialogues in a model's own words, as token ids."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.serving.sentences import SENTENCES
from bot.dialogue.prompt import Tokenizer, encode_turn
from bot.dialogue.sampling import SamplingParams
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.protocol import Engine, GenerationRequest

MAX_NEW_TOKENS = 24
NUM_EXCHANGES = 4


async def embedded_dialogues(folder: Path, num_dialogues: int) -> list[list[int]]:
    """What people say, and what the model in `folder` answers in float32."""
    async with AsyncExitStack() as stack:
        engine = await open_engine(folder, model="", device="cpu", dtype="float32")
        stack.push_async_callback(engine.close)
        tokenizer = await open_tokenizer(folder)
        stack.push_async_callback(tokenizer.close)
        said = await tokenizer.run(_encode_sentences)
        talks = (_talk(engine, said, seed) for seed in range(num_dialogues))
        return list(await asyncio.gather(*talks))


def _encode_sentences(tokenizer: Tokenizer) -> list[list[int]]:
    return [encode_turn(sentence, tokenizer) for sentence in SENTENCES]


async def _talk(engine: Engine, said: Sequence[Sequence[int]], seed: int) -> list[int]:
    dice, ids = random.Random(seed), list[int]()
    for number in range(NUM_EXCHANGES):
        ids += dice.choice(said)
        if len(ids) + MAX_NEW_TOKENS >= engine.info.window:
            break
        params = SamplingParams(max_new_tokens=MAX_NEW_TOKENS, seed=1000 * seed + number)
        (completion,) = await engine.generate(
            GenerationRequest(tuple(ids), params, sequence_key=str(seed))
        )
        ids += [*completion.ids, said[0][-1]]
    return ids[: engine.info.window]
