"""What the conversation asks of an engine and what it gets back; no torch here.

The interface is complete from the start, so that the engine can change under it.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar

from bot.dialogue.continuation import Survivors
from bot.dialogue.prompt import Tokenizer
from bot.dialogue.sampling import SamplingParams

LAST_LAYER = sys.maxsize  # of PredictionRequest.layer: no number that a person could mean


class FinishReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"  # the model ended the turn
    LENGTH = "length"  # max_new_tokens, or the window


class Cancellation:
    """A flag that any thread may raise: the engine stops the request at its next step."""

    def __init__(self) -> None:
        self._raised = threading.Event()

    def cancel(self) -> None:
        """Raise the flag; it cannot be lowered."""
        self._raised.set()

    @property
    def cancelled(self) -> bool:
        """Whether the flag is up."""
        return self._raised.is_set()


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """Token ids in.

    `prompt_ids`: shape (num_prompt_tokens,), at least one.
    `own_ids`: the bot's own earlier turns of this context, each (num_turn_tokens,), for the
    rules that keep a reply from repeating them (`no_repeat_own_ngram_size`, `dry_multiplier`).
    `sequence_key` names the conversation whose KV cache may be reused; `num_erasures` is how many
    erasures there were when the first of the prompt's words was read: after a further one nothing
    is kept of the request. `group_key` and `user_id` are for fairness.
    `deadline` is a moment of time.monotonic() in seconds.
    `on_token(candidate, token_id)` and `on_position(place)` are called from the engine's own
    thread and must return at once; the queue's first place is 0.
    """

    prompt_ids: tuple[int, ...]
    params: SamplingParams = field(default_factory=SamplingParams)
    own_ids: tuple[tuple[int, ...], ...] = ()
    sequence_key: str = ""
    num_erasures: int = 0
    group_key: int = 0
    user_id: int = 0
    deadline: float | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)
    on_token: Callable[[int, int], None] | None = None
    on_position: Callable[[int], None] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """Token ids out: one of the `num_candidates` answers to a request.

    `ids`: shape (num_new_tokens,), without the end-of-text token.
    `logprobs`: shape (num_new_tokens,), natural logarithms under the model's own, unprocessed
    distribution; with the end-of-text token's appended when `finish_reason` is STOP.
    `end_id`: that token, where `finish_reason` is STOP; a model may have several.
    `seed` reproduces this completion on the same device and dtype.
    """

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason
    seed: int
    num_prompt_tokens: int
    end_id: int | None = None
    num_cached_tokens: int = 0
    queued_seconds: float = 0.0
    first_token_seconds: float = 0.0
    total_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens whose likelihood is asked: `ids` after `prompt_ids`.

    Shapes (num_tokens,) and (num_prompt_tokens,), at least one each, together within the window.
    """

    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """A text to go on with, token by token, and what is to be told of it.

    `text_ids`: shape (num_text_tokens,), at least one. `length`: the most tokens to add.
    `layer`: whose attention is told, counted from 1; LAST_LAYER, or None for none.
    Of `params`, `max_new_tokens` and `num_candidates` do not count; the rules look at the text,
    too. `deadline` is a moment of time.monotonic() in seconds.
    """

    text_ids: tuple[int, ...]
    params: SamplingParams
    length: int
    layer: int | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Prospect:
    """A token that may come next; see bot.dialogue.continuation.Likely."""

    token_id: int
    probability: float
    allowed: bool


@dataclass(frozen=True, slots=True)
class PredictedStep:
    """One new token, and what stood to choose from; `likeliest` begins with the likeliest."""

    drawn: Prospect
    likeliest: tuple[Prospect, ...]
    survivors: Survivors


@dataclass(frozen=True, slots=True)
class LayerAttention:
    """How much each token looks at every one: shape (num_tokens, num_tokens), a row's sum is 1."""

    layer: int
    num_layers: int
    weights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a text goes on with; see bot.dialogue.continuation.Continuation, which adds texts.

    `attention` is None where none was asked for, or the model does not show it.
    """

    ids: tuple[int, ...]
    num_text_tokens: int
    steps: tuple[PredictedStep, ...]
    ended: bool
    seed: int
    attention: LayerAttention | None = None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine serves; fixed from its start. `window` is in tokens."""

    model: str
    revision: str
    device: str
    dtype: str
    window: int
    num_parameters: int


NUM_COUNTED = 100  # requests, for EngineLoad.cached_share


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """What an engine is doing at this moment.

    `num_rows`: replies being made, each candidate for itself; `max_rows`: at most at once.
    `cached_share`: of the tokens of the last NUM_COUNTED prompts, those that kept prefixes spared.
    `prefix_bytes`: memory of the prefixes kept now, of at most `max_prefix_bytes` for these and
    the replies together. None: nothing is kept by this engine, or nothing was asked yet.
    """

    num_waiting: int
    num_running: int
    tokens_per_second: float
    num_rows: int = 0
    max_rows: int = 1
    cached_share: float | None = None
    prefix_bytes: int | None = None
    max_prefix_bytes: int | None = None


class Engine(Protocol):
    """Runs requests on a model."""

    @property
    def info(self) -> EngineInfo:
        """What is served."""
        ...

    def load(self) -> EngineLoad:
        """What is going on now."""
        ...

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        """Run `request`; returns `params.num_candidates` completions.

        `max_new_tokens` is lowered where prompt and reply would not fit the window.
        Cancelling the awaiting task cancels the request.
        Raises ContextTooLongError (the prompt leaves no room for a reply), EngineMemoryError,
        EngineBrokenError, EngineClosedError, DeadlineError, WithdrawnError, NumericError.
        """
        ...

    async def score(self, passages: Sequence[Passage]) -> list[tuple[float, ...]]:
        """The log-probability of every token of each passage's `ids`, in their order.

        Natural logarithms under the model's own, unprocessed distribution.
        Cancelling the awaiting task ends the work.
        Raises EngineMemoryError, EngineBrokenError, EngineClosedError, NumericError.
        """
        ...

    async def predict(self, request: PredictionRequest) -> Prediction:
        """Go on with a text, a token between two steps of the replies.

        `length` is lowered where it would not fit the window.
        Cancelling the awaiting task ends the work.
        Raises ContextTooLongError (the text leaves no room), InvalidSettingError (no such layer),
        DeadlineError, EngineMemoryError, EngineBrokenError, EngineClosedError, NumericError.
        """
        ...

    def forget(self, num_erasures: int) -> None:
        """Keep nothing of requests with fewer erasures, at the latest after the running step.

        A member's words were erased: a kept prefix holds them as token ids. Returns at once.
        """
        ...

    async def close(self) -> None:
        """Stop what runs, free the model and end the engine's thread; may be called twice."""
        ...


T = TypeVar("T")


class TokenizerThread(Protocol):
    """A tokenizer with a thread of its own: encoding is work, and no tokenizer is shared."""

    async def run(self, work: Callable[[Tokenizer], T]) -> T:
        """Run `work` with the tokenizer in its thread and return the result."""
        ...

    async def close(self) -> None:
        """End the thread; may be called twice."""
        ...
