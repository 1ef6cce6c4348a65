"""A model folder that answers dialogues, through the bot's own engine and prompt format."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bot.dialogue.prompt import decode_reply, encode_prompt
from bot.dialogue.reply import tidy
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.request import Engine, FinishReason, GenerationRequest
from bot.ports import TokenizerThread

GREEDY = SamplingParams(temperature=0.1, top_k=1, repetition_penalty=1.0, no_repeat_ngram_size=0)
CONTEXT_TURNS = 8  # what the bot keeps by default, the member's newest turn included


class Voice:
    """Answers one dialogue at a time."""

    def __init__(self, engine: Engine, tokenizer: TokenizerThread) -> None:
        self._engine = engine
        self._tokenizer = tokenizer

    async def answer(self, turns: Sequence[str], params: SamplingParams) -> str:
        """The reply to `turns` (the member first and last), tidied; "" where it is empty."""
        newest = turns[-(CONTEXT_TURNS - 1) :]  # an odd number: the member's turn is the first
        lines = [(Role.BOT if i % 2 else Role.USER, turn) for i, turn in enumerate(newest)]
        prompt_ids = await self._tokenizer.run(lambda known: tuple(encode_prompt(lines, known)))
        own_ids = await self._tokenizer.run(
            lambda known: tuple(tuple(known.encode(turn)) for turn in newest[1::2])
        )
        request = GenerationRequest(prompt_ids=prompt_ids, params=params, own_ids=own_ids)
        [completion] = await self._engine.generate(request)
        text = await self._tokenizer.run(lambda known: decode_reply(completion.ids, known))
        return tidy(text, cut_off=completion.finish_reason is FinishReason.LENGTH)


@asynccontextmanager
async def open_voice(folder: Path, *, num_threads: int) -> AsyncIterator[Voice]:
    """The voice of the model in `folder`, on the CPU. Raises ModelError."""
    engine = await open_engine(
        folder, model=folder.name, device="cpu", dtype="float32", num_threads=num_threads
    )
    try:
        tokenizer = await open_tokenizer(folder)
        try:
            yield Voice(engine, tokenizer)
        finally:
            await tokenizer.close()
    finally:
        await engine.close()
