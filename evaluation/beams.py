"""A voice that searches with beams: the decoding that DialoGPT's table calls "beam search".

No bans and no draw: the seed and the sampling values but `max_new_tokens` mean nothing to it.
Importing this module imports torch and transformers (4 s).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bot.dialogue.context import ContextBudget, build_context
from bot.dialogue.prompt import decode_reply
from bot.dialogue.reply import tidy
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Turn
from bot.engine.checkpoints.checkpoint import resolve_model
from bot.settings.settings import MODELS_FOLDER
from evaluation.reader import ModelReader
from evaluation.voices import OpenVoice, Spoken, budget_of, limits_for, weights_hash


class BeamVoice:
    """Implements evaluation.voices.Voice, one dialogue at a time."""

    def __init__(self, reader: ModelReader, num_beams: int, limits: ContextBudget) -> None:
        self._reader = reader
        self._limits = limits
        self._num_beams = num_beams
        self._turn = asyncio.Lock()  # a tokenizer serves one thread at a time

    async def answer(self, turns: Sequence[Turn], said: str, params: SamplingParams) -> Spoken:
        """The likeliest reply that was found."""
        async with self._turn:
            return await asyncio.to_thread(self._search, turns, said, params)

    def _search(self, turns: Sequence[Turn], said: str, params: SamplingParams) -> Spoken:
        reader, tokenizer = self._reader, self._reader.tokenizer
        budget = budget_of(reader.window, params, self._limits)
        context = build_context(turns, said, budget, tokenizer)
        ids = reader.beam_search(
            context.prompt_ids, num_beams=self._num_beams, max_new_tokens=params.max_new_tokens
        )
        is_cut = len(ids) >= params.max_new_tokens
        wanted_ids = ids if is_cut else [*ids, tokenizer.end_of_text_id]
        logprobs = reader.read(context.prompt_ids, wanted_ids).logprobs
        return Spoken(
            tidy(decode_reply(ids, tokenizer), cut_off=is_cut),
            context_start_id=context.start_id,
            logprob=sum(logprobs),
            num_tokens=len(logprobs),
        )


@asynccontextmanager
async def open_beams(
    model: str, revision: str | None, num_beams: int, *, device: str, dtype: str
) -> AsyncIterator[OpenVoice]:
    """Open `model` as the setting MODEL would. Raises StartError."""
    folder = resolve_model(model, revision, MODELS_FOLDER)
    limits = limits_for(model, revision)
    reader = await asyncio.to_thread(ModelReader, folder, device=device, dtype=dtype)
    yield OpenVoice(
        BeamVoice(reader, num_beams, limits),
        limits=limits,
        device=reader.device,
        dtype=reader.dtype,
        revision=reader.revision or weights_hash(folder),
    )
