"""A model that answers dialogues as the bot would: with its guards, or without them.

With guards it is the bot's own Speaker, ladder, blocked words and all. Without, it is the model
in the bot's prompt format: one try, its first candidate, nothing forbidden but what the
SamplingParams forbid.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from bot.dialogue.blocked import is_blocked
from bot.dialogue.context import ContextBudget, build_context, fit_window
from bot.dialogue.prompt import decode_reply
from bot.dialogue.reply import tidy
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role, Scope, Turn, Utterance
from bot.engine.checkpoint import inspect_checkpoint, resolve_model
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.request import (
    Cancellation,
    Completion,
    Engine,
    FinishReason,
    GenerationRequest,
)
from bot.errors import NoFitReplyError
from bot.ports import TokenizerThread
from bot.settings import MODELS_FOLDER
from bot.speaker import ContextLimits, Speaker

LIMITS = ContextLimits(num_tokens=256, num_turns=8)  # the bot's defaults
_DEADLINE_SECONDS = 600.0
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_HASH_LENGTH = 12


class Guards(StrEnum):
    """Whether the bot's guards judge what is said."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was said and how it came about.

    `logprob`: the sum over the reply's tokens under the model's own distribution, end-of-text
    included, and `num_tokens` their number. `faults`: of the candidates that were refused.
    """

    text: str
    is_fallback: bool = False
    context_start_id: int | None = None
    logprob: float = 0.0
    num_tokens: int = 0
    faults: tuple[str, ...] = ()


class Voice(Protocol):
    """Answers dialogues."""

    async def answer(self, turns: Sequence[Turn], said: str, params: SamplingParams) -> Spoken:
        """The reply to `said` after `turns`, oldest first. Raises EngineErrors."""
        ...


class GuardedVoice:
    """The bot's Speaker."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker

    async def answer(self, turns: Sequence[Turn], said: str, params: SamplingParams) -> Spoken:
        """The reply that the guards let pass, or the sentence that the bot says instead."""
        scope = turns[0].scope if turns else Scope(0)
        utterance = Utterance(0, scope, 0, said, _LONG_AGO)
        try:
            answer = await self._speaker.answer(utterance, turns, params, Cancellation())
        except NoFitReplyError as error:
            return Spoken(str(error), is_fallback=True)
        spoken = _spoken(answer.text, answer.completion, answer.context.start_id)
        faults = [one.scores["fault"] for one in answer.rejected if "fault" in one.scores]
        return replace(spoken, faults=tuple(map(str, faults)))


class BareVoice:
    """The model as it is."""

    def __init__(self, engine: Engine, tokenizer: TokenizerThread) -> None:
        self._engine = engine
        self._tokenizer = tokenizer

    async def answer(self, turns: Sequence[Turn], said: str, params: SamplingParams) -> Spoken:
        """The first candidate of the first try."""
        budget = budget_of(self._engine.info.window, params)
        context = await self._tokenizer.run(lambda known: build_context(turns, said, budget, known))
        completion, *_ = await self._engine.generate(
            GenerationRequest(prompt_ids=context.prompt_ids, params=params)
        )
        text = await self._tokenizer.run(lambda known: decode_reply(completion.ids, known))
        is_cut = completion.finish_reason is FinishReason.LENGTH
        return _spoken(tidy(text, cut_off=is_cut), completion, context.start_id)


@dataclass(frozen=True, slots=True)
class OpenVoice:
    """A voice and what it speaks with; `revision` is a commit, or a hash of the weights."""

    voice: Voice
    device: str
    dtype: str
    revision: str


@asynccontextmanager
async def open_voice(
    model: str, revision: str | None, guards: Guards, *, device: str = "auto", dtype: str = "auto"
) -> AsyncIterator[OpenVoice]:
    """Open `model` as the setting MODEL would. Raises StartError."""
    folder = resolve_model(model, revision, MODELS_FOLDER)
    engine = await open_engine(folder, model=model, device=device, dtype=dtype)
    try:
        tokenizer = await open_tokenizer(folder)
        try:
            yield OpenVoice(
                _voice(engine, tokenizer, guards),
                device=engine.info.device,
                dtype=engine.info.dtype,
                revision=engine.info.revision or weights_hash(folder),
            )
        finally:
            await tokenizer.close()
    finally:
        await engine.close()


def budget_of(window: int, params: SamplingParams) -> ContextBudget:
    """What the bot's context may hold beside a reply."""
    num_tokens, _ = fit_window(window, params.max_new_tokens, LIMITS.num_tokens)
    return ContextBudget(num_tokens, LIMITS.num_turns)


def weights_hash(folder: Path) -> str:
    """The beginning of a hash of the weights in `folder`, for models without a commit."""
    digest = hashlib.sha256()
    for path in inspect_checkpoint(folder).weight_files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()[:_HASH_LENGTH]}"


def remembered(texts: Sequence[str], scope: Scope = Scope(0)) -> list[Turn]:  # noqa: B008 (frozen)
    """`texts`, of which the bot said the last one, as the bot's memory would hand them out."""
    roles = (Role.BOT, Role.USER)
    count = len(texts)
    return [
        Turn(
            turn_id=i + 1,
            scope=scope,
            parent_id=i or None,
            role=roles[(count - 1 - i) % 2],
            text=text,
            author_id=None,
            epoch=0,
            created_at=_LONG_AGO,
            context_start_id=1,  # every answer so far was made from the whole dialogue
        )
        for i, text in enumerate(texts)
    ]


def _voice(engine: Engine, tokenizer: TokenizerThread, guards: Guards) -> Voice:
    if guards is Guards.OFF:
        return BareVoice(engine, tokenizer)
    return GuardedVoice(
        Speaker(
            engine=engine,
            tokenizer=tokenizer,
            limits=LIMITS,
            deadline_seconds=_DEADLINE_SECONDS,
            is_blocked=is_blocked,
        )
    )


def _spoken(text: str, completion: Completion, context_start_id: int | None) -> Spoken:
    return Spoken(
        text,
        context_start_id=context_start_id,
        logprob=sum(completion.logprobs),
        num_tokens=len(completion.logprobs),
    )
