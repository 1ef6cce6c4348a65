"""Text completion: goes on with a text by next-word prediction, on the engine that answers.

Three parts, in their order: what may be asked, the asking, and the outcome with the texts of its
tokens. Nothing of it is stored or logged: it belongs to no conversation.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from bot.dialogue.continuation import Attention, Continuation, ContinuationStep, Likely
from bot.dialogue.guards import IsBlocked
from bot.dialogue.prompt import Tokenizer
from bot.dialogue.sampling import Number, SamplingParams
from bot.dialogue.text import is_blank
from bot.engine.protocol import (
    Engine,
    LayerAttention,
    PredictedStep,
    Prediction,
    PredictionRequest,
    Prospect,
    TokenizerThread,
)
from bot.errors import RefusedError, WrongInputError

LENGTH = 50  # tokens that are added unless another number is wished for
NO_REPEAT_NGRAM_SIZE = 2
SAMPLING_OPTIONS = ("seed", "temperature", "top_k", "top_p")  # of /complete and of the terminal
NUM_FIRST_STEPS = 5  # whose likeliest tokens may be shown
_NUM_BEFORE = 60  # characters before a token: enough for a word that it would complete


@dataclass(frozen=True, slots=True)
class TextToComplete:
    """A text, how to go on with it, and the layer to look at; see PredictionRequest."""

    text: str
    params: SamplingParams
    length: int
    layer: int | None = None


@dataclass(frozen=True, slots=True)
class CompletedText:
    """What the model wrote. `first_steps`: only what may be shown is left of their likeliest.

    `attention` is None where it was not asked for, or the model does not show it.
    """

    continuation: Continuation
    first_steps: tuple[ContinuationStep, ...]
    attention: Attention | None


def check_text(text: str) -> str:
    """`text` as it is; raises WrongInputError where there is nothing to go on with."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WrongInputError("The text is not valid UTF-8: write it again.") from None
    if is_blank(text):
        raise WrongInputError("The text is empty: write how it begins.")
    return text


def params_for(defaults: SamplingParams, wished: Mapping[str, Number | None]) -> SamplingParams:
    """`defaults` with no repeated pair of tokens, and what is `wished` for where it is not None.

    Raises InvalidSettingError.
    """
    values = {name: value for name, value in wished.items() if value is not None}
    values.setdefault("no_repeat_ngram_size", NO_REPEAT_NGRAM_SIZE)
    return replace(defaults, **values)  # type: ignore[arg-type]  # mypy: one type for all fields


class TextCompleter:
    """Asks the engine for one text at a time: each holds memory of its own beside the replies'.

    `is_blocked` finds words that are not said; None: all are. `deadline_seconds` bounds one text,
    its waiting included.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        tokenizer: TokenizerThread,
        deadline_seconds: float,
        is_blocked: IsBlocked | None = None,
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._deadline_seconds = deadline_seconds
        self._is_blocked = is_blocked or (lambda _: False)
        self._turn = asyncio.Lock()

    async def complete(self, start: TextToComplete) -> CompletedText:
        """Go on with a text.

        Raises RefusedError for words that are not said, WrongInputError for a text of which the
        model knows no letter, InvalidSettingError for a layer that is not there, EngineErrors.
        """
        deadline = time.monotonic() + self._deadline_seconds
        text_ids = await self._tokenizer.run(partial(_encode, start.text, self._is_blocked))
        request = PredictionRequest(text_ids, start.params, start.length, start.layer, deadline)
        async with self._turn:
            prediction = await self._engine.predict(request)
        return await self._tokenizer.run(partial(_decode, prediction, self._is_blocked))


def _encode(text: str, is_blocked: IsBlocked, tokenizer: Tokenizer) -> tuple[int, ...]:
    _check_words(text, is_blocked)
    text_ids = tuple(tokenizer.encode(text))
    if not text_ids:
        raise WrongInputError("The model knows none of these letters: write another text.")
    return (*tokenizer.start_ids, *text_ids)


def _decode(prediction: Prediction, is_blocked: IsBlocked, tokenizer: Tokenizer) -> CompletedText:
    continuation = continuation_of(prediction, tokenizer)
    _check_words(continuation.text, is_blocked)
    first_steps = []
    for number, step in enumerate(continuation.steps[:NUM_FIRST_STEPS]):
        ids = continuation.ids[: continuation.num_text_tokens + number]
        before = tokenizer.decode(ids)[-_NUM_BEFORE:]
        unblocked = [token for token in step.likeliest if not is_blocked(before + token.text)]
        first_steps.append(replace(step, likeliest=tuple(unblocked)))
    shown = prediction.attention
    attention = None if shown is None else _attention_of(shown, continuation, tokenizer)
    return CompletedText(continuation, tuple(first_steps), attention)


def _check_words(text: str, is_blocked: IsBlocked) -> None:
    if is_blocked(text):
        raise RefusedError(
            "There are words in it that I don't say: please try again, or start another text."
        )


def continuation_of(prediction: Prediction, tokenizer: Tokenizer) -> Continuation:
    """The prediction with texts."""
    ids, num_text_tokens = prediction.ids, prediction.num_text_tokens
    text, given = tokenizer.decode(ids), tokenizer.decode(ids[:num_text_tokens])
    is_prefix = text.startswith(given)  # not so where decoding tidies up what it joins
    added = text[len(given) :] if is_prefix else tokenizer.decode(ids[num_text_tokens:])
    return Continuation(
        text=text,
        added=added,
        ids=ids,
        num_text_tokens=num_text_tokens,
        steps=tuple(_step_of(step, tokenizer) for step in prediction.steps),
        ended=prediction.ended,
        seed=prediction.seed,
    )


def _step_of(step: PredictedStep, tokenizer: Tokenizer) -> ContinuationStep:
    def likely(prospect: Prospect) -> Likely:
        return Likely(
            token_id=prospect.token_id,
            text=tokenizer.token_text(prospect.token_id),
            probability=prospect.probability,
            allowed=prospect.allowed,
        )

    return ContinuationStep(likely(step.drawn), tuple(map(likely, step.likeliest)), step.survivors)


def _attention_of(
    shown: LayerAttention, continuation: Continuation, tokenizer: Tokenizer
) -> Attention:
    return Attention(
        layer=shown.layer,
        num_layers=shown.num_layers,
        num_text_tokens=continuation.num_text_tokens,
        tokens=tuple(map(tokenizer.token_text, continuation.ids)),
        weights=shown.weights,
    )
