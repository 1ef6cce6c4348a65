"""A model folder that answers dialogues, through the bot's own engine and prompt format."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from bot.dialogue.context import ContextBudget, build_context, fit_window
from bot.dialogue.prompt import decode_reply
from bot.dialogue.reply import tidy
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role, Scope, Turn
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.protocol import Engine, FinishReason, GenerationRequest, TokenizerThread

GREEDY = SamplingParams(
    temperature=0.1,
    top_k=1,
    repetition_penalty=1.0,
    no_repeat_ngram_size=0,
    no_repeat_own_ngram_size=0,
)
CONTEXT_TOKENS, CONTEXT_TURNS = 256, 8  # what the model cards' figures were measured with
_PLACE = Scope(channel_id=0)


class Voice:
    """Answers one dialogue at a time."""

    def __init__(self, engine: Engine, tokenizer: TokenizerThread) -> None:
        self._engine = engine
        self._tokenizer = tokenizer

    async def answer(self, turns: Sequence[str], params: SamplingParams) -> str:
        """The reply to `turns` (the member first and last), tidied; "" where it is empty."""
        budget = ContextBudget(
            fit_window(self._engine.info.window, params.max_new_tokens, CONTEXT_TOKENS)[0],
            CONTEXT_TURNS,
        )
        context = await self._tokenizer.run(
            lambda known: build_context(_remembered(turns[:-1]), turns[-1], budget, known)
        )
        request = GenerationRequest(
            prompt_ids=context.prompt_ids, params=params, own_ids=context.own_ids
        )
        [completion] = await self._engine.generate(request)
        text = await self._tokenizer.run(lambda known: decode_reply(completion.ids, known))
        return tidy(text, cut_off=completion.finish_reason is FinishReason.LENGTH)


def _remembered(turns: Sequence[str]) -> list[Turn]:
    """`turns` as the bot's memory would hand them out."""
    roles = (Role.USER, Role.BOT)
    now = datetime.now(UTC)
    return [
        Turn(
            turn_id=i + 1,
            scope=_PLACE,
            parent_id=i or None,
            role=roles[i % 2],
            text=text,
            author_id=None,
            epoch=0,
            created_at=now,
            context_start_id=1,  # every answer so far was made from the whole dialogue
        )
        for i, text in enumerate(turns)
    ]


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
