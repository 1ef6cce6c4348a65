"""Greedy replies of the engine beside those of transformers' `generate`.

Importing this module imports torch and transformers.
"""

import asyncio
import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import LogitsProcessorList

from benchmarks.serving.shapes import ModelShape, shape_of
from bot.dialogue.sampling import SamplingParams
from bot.engine.opening import open_engine
from bot.engine.protocol import Completion, Engine, GenerationRequest
from bot.engine.reference.loader import LoadedModel, generation_config
from bot.engine.reference.rules import LetterRule

MAX_PROMPT = 300  # longer than a chunk
PLAIN = SamplingParams(
    top_k=1, top_p=1.0, repetition_penalty=1.0, no_repeat_ngram_size=0, min_new_tokens=1
)


@dataclass(frozen=True, slots=True)
class Greedy:
    """How many replies were equal. `num_kinds`: different tokens in all of them."""

    num_equal: int
    num_requests: int
    num_tokens: int
    num_kinds: int
    num_cached: int


@dataclass(frozen=True, slots=True)
class _Reply:
    prompt_ids: tuple[int, ...]
    params: SamplingParams
    completions: list[Completion]


async def count_equal(
    folder: Path, oracle: LoadedModel, num_requests: int, num_threads: int, device: str = "cpu"
) -> Greedy:
    """Ask for replies at random moments, two after another in a conversation, and compare.

    The engine is on `device`, the oracle on the processor.
    """
    shape = shape_of(folder)
    engine = await open_engine(
        folder, model="", device=device, dtype="float32", num_threads=num_threads
    )
    num_talks = -(-num_requests // 2)
    try:
        talks = await asyncio.gather(*(_talk(engine, shape, seed) for seed in range(num_talks)))
    finally:
        await engine.close()
    replies = [reply for talk in talks for reply in talk][:num_requests]
    made = [one for reply in replies for one in reply.completions]
    return Greedy(
        num_equal=sum(_is_equal(reply, oracle, shape.num_ids - 1) for reply in replies),
        num_requests=len(replies),
        num_tokens=sum(len(one.ids) for one in made),
        num_kinds=len({token_id for one in made for token_id in one.ids}),
        num_cached=sum(one.num_cached_tokens for one in made),
    )


async def _talk(engine: Engine, shape: ModelShape, seed: int) -> list[_Reply]:
    dice, end_id = random.Random(seed), shape.num_ids - 1
    longest = min(MAX_PROMPT, shape.window // 2)
    await asyncio.sleep(dice.random() * 0.5)  # others are in the middle of theirs
    ids = tuple(dice.choices(range(end_id), k=dice.randint(1, longest)))
    first = await _ask(engine, ids, seed, dice)
    said = dice.choices(range(end_id), k=dice.randint(1, 20))
    return [
        first,
        await _ask(engine, (*ids, *first.completions[0].ids, end_id, *said), seed, dice),
    ]


async def _ask(engine: Engine, ids: tuple[int, ...], seed: int, dice: random.Random) -> _Reply:
    params = replace(
        PLAIN, max_new_tokens=dice.randint(8, 24), num_candidates=dice.choice((1, 1, 2))
    )
    request = GenerationRequest(ids, params, sequence_key=str(seed), user_id=seed)
    return _Reply(ids, params, await engine.generate(request))


def _is_equal(reply: _Reply, oracle: LoadedModel, end_id: int) -> bool:
    """Whether every candidate is what `generate` makes of the prompt, in whole letters."""
    ids = torch.tensor([reply.prompt_ids])
    rule = LetterRule(oracle.letters, ids.shape[1], reply.params.max_new_tokens)
    generated = oracle.network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        generation_config=generation_config(
            max_new_tokens=reply.params.max_new_tokens,
            do_sample=False,
            eos_token_id=end_id,
            pad_token_id=end_id,
        ),
        logits_processor=LogitsProcessorList([rule]),
    )[0, ids.shape[1] :].tolist()
    expected = generated[:-1] if generated[-1] == end_id else generated
    return all(list(one.ids) == expected for one in reply.completions)
