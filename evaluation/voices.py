"""A model that answers dialogues as the bot would: with its guards, or without them.

With guards it is the bot's own ReplyMaker, ladder, blocked words and all. Without, it is the model
in the bot's prompt format: one try, its first candidate, nothing forbidden but what the
SamplingParams forbid of the reply itself; what the bot said before is no concern of theirs.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from bot.answering.ports import Scores
from bot.answering.reply_maker import ReplyMaker
from bot.dialogue.blocked import is_blocked
from bot.dialogue.context import ContextBudget, build_context, fit_window
from bot.dialogue.profiles import DIALOGPT, Profile
from bot.dialogue.prompt import decode_reply
from bot.dialogue.ranking import LIKELIHOOD_ALONE, WEIGHTS
from bot.dialogue.reply import tidy
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role, Scope, Turn, Utterance
from bot.engine.checkpoints.checkpoint import inspect_checkpoint, resolve_model
from bot.engine.opening import open_engine, open_tokenizer
from bot.engine.protocol import (
    Cancellation,
    Completion,
    Engine,
    FinishReason,
    GenerationRequest,
    TokenizerThread,
)
from bot.errors import NoFitReplyError
from bot.settings.settings import MODELS_FOLDER, Settings
from bot.startup.model_profile import profile_of
from bot.startup.reverse_model import check_same_vocabulary, find_reverse_model

LIMITS = DIALOGPT.budget
_DEADLINE_SECONDS = 600.0
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_HASH_LENGTH = 12


class Guards(StrEnum):
    """Whether the bot's guards judge what is said."""

    ON = "on"
    OFF = "off"


class Rank(StrEnum):
    """What several candidates are ranked by: the bot's whole ranking, or their likelihood."""

    MMI = "mmi"
    LIKELIHOOD = "likelihood"


@dataclass(frozen=True, slots=True)
class Ranking:
    """How several candidates are ranked. `reverse_model`: as the setting REVERSE_MODEL, or None."""

    rank: Rank = Rank.MMI
    reverse_model: str | None = None


MMI = Ranking()


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was said and how it came about.

    `logprob`: the sum over the reply's tokens under the model's own distribution, end-of-text
    included, and `num_tokens` their number. `faults`: of the candidates that were refused.
    `scores`: what the ranking found of the reply.
    """

    text: str
    is_fallback: bool = False
    context_start_id: int | None = None
    logprob: float = 0.0
    num_tokens: int = 0
    faults: tuple[str, ...] = ()
    scores: Scores = field(default_factory=dict)


class Voice(Protocol):
    """Answers dialogues."""

    async def answer(self, turns: Sequence[Turn], said: str, params: SamplingParams) -> Spoken:
        """The reply to `said` after `turns`, oldest first. Raises EngineErrors."""
        ...


class GuardedVoice:
    """The bot's ReplyMaker."""

    def __init__(self, speaker: ReplyMaker) -> None:
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
        return replace(spoken, faults=tuple(map(str, faults)), scores=answer.scores)


class BareVoice:
    """The model as it is."""

    def __init__(self, opened: "OpenModel") -> None:
        self._engine = opened.engine
        self._tokenizer = opened.tokenizer
        self._limits = opened.limits

    async def answer(self, turns: Sequence[Turn], said: str, params: SamplingParams) -> Spoken:
        """The first candidate of the first try."""
        budget = budget_of(self._engine.info.window, params, self._limits)
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
    limits: ContextBudget
    device: str
    dtype: str
    revision: str
    reverse_revision: str | None = None


@dataclass(frozen=True, slots=True)
class OpenModel:
    """The engines and the tokenizer of a model, and of a reverse model where there is one."""

    engine: Engine
    tokenizer: TokenizerThread
    revision: str
    limits: ContextBudget
    reverse: Engine | None = None
    reverse_revision: str | None = None


@asynccontextmanager
async def open_voice(
    model: str,
    revision: str | None,
    guards: Guards,
    *,
    device: str = "auto",
    dtype: str = "auto",
    ranking: Ranking = MMI,
) -> AsyncIterator[OpenVoice]:
    """Open `model` as the setting MODEL would. Raises StartError."""
    reverse_model = ranking.reverse_model
    async with open_model(model, revision, reverse_model, device=device, dtype=dtype) as opened:
        yield OpenVoice(
            _voice(opened, guards, ranking),
            limits=opened.limits,
            device=opened.engine.info.device,
            dtype=opened.engine.info.dtype,
            revision=opened.revision,
            reverse_revision=opened.reverse_revision,
        )


@asynccontextmanager
async def open_model(
    model: str, revision: str | None, reverse_model: str | None, *, device: str, dtype: str
) -> AsyncIterator[OpenModel]:
    """Open what MODEL and REVERSE_MODEL name, and close it. Raises StartError."""
    named = Settings(model=model, model_revision=revision, reverse_model=reverse_model)
    folder = resolve_model(model, revision, MODELS_FOLDER)
    reverse_folder = find_reverse_model(named)
    async with AsyncExitStack() as stack:
        engine = await open_engine(folder, model=model, device=device, dtype=dtype)
        stack.push_async_callback(engine.close)
        tokenizer = await open_tokenizer(folder)
        stack.push_async_callback(tokenizer.close)
        found = engine.info.revision or weights_hash(folder)
        opened = OpenModel(engine, tokenizer, found, limits_for(model, revision))
        if reverse_folder is None or reverse_model is None:
            yield opened
            return
        await check_same_vocabulary(reverse_folder, reverse_model, tokenizer)
        reverse = await open_engine(reverse_folder, model=reverse_model, device=device, dtype=dtype)
        stack.push_async_callback(reverse.close)
        reverse_revision = reverse.info.revision or weights_hash(reverse_folder)
        yield replace(opened, reverse=reverse, reverse_revision=reverse_revision)


def profile_for(model: str, revision: str | None) -> Profile:
    """What the bot assumes of `model` where its owner has set nothing. Raises ModelError."""
    return profile_of(model, resolve_model(model, revision, MODELS_FOLDER))


def limits_for(model: str, revision: str | None) -> ContextBudget:
    """What the bot lets `model` see where its owner has set nothing. Raises ModelError."""
    return profile_for(model, revision).budget


def budget_of(window: int, params: SamplingParams, limits: ContextBudget) -> ContextBudget:
    """What the bot's context may hold beside a reply."""
    num_tokens, _ = fit_window(window, params.max_new_tokens, limits.num_tokens)
    return ContextBudget(num_tokens, limits.num_turns)


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


def _voice(opened: OpenModel, guards: Guards, ranking: Ranking) -> Voice:
    if guards is Guards.OFF:
        return BareVoice(opened)
    return GuardedVoice(
        ReplyMaker(
            engine=opened.engine,
            tokenizer=opened.tokenizer,
            budget=opened.limits,
            deadline_seconds=_DEADLINE_SECONDS,
            is_blocked=is_blocked,
            reverse=opened.reverse,
            weights=WEIGHTS if ranking.rank is Rank.MMI else LIKELIHOOD_ALONE,
        )
    )


def _spoken(text: str, completion: Completion, context_start_id: int | None) -> Spoken:
    return Spoken(
        text,
        context_start_id=context_start_id,
        logprob=sum(completion.logprobs),
        num_tokens=len(completion.logprobs),
    )
