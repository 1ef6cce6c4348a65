"""Goes on with a text, as next-word prediction does; the engine that answers does it, too.

Nothing of it is stored or logged: it belongs to no conversation.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from bot.dialogue.continuation import Attention, Continuation, Step
from bot.dialogue.prompt import Tokenizer
from bot.dialogue.sampling import SamplingParams
from bot.engine.request import Engine, Prediction, PredictionRequest
from bot.errors import RefusedError, WrongInputError
from bot.ports import TokenizerThread
from bot.spelling import attention_of, continuation_of

NUM_FIRST_STEPS = 5  # whose likeliest tokens may be shown
_NUM_BEFORE = 60  # characters before a token: enough for a word that it would complete

IsBlocked = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Wish:
    """A text, how to go on with it, and the layer to look at; see PredictionRequest."""

    text: str
    params: SamplingParams
    length: int
    layer: int | None = None


@dataclass(frozen=True, slots=True)
class Writing:
    """What the model wrote. `first_steps`: only what may be shown is left of their likeliest.

    `attention` is None where it was not asked for, or the model does not show it.
    """

    continuation: Continuation
    first_steps: tuple[Step, ...]
    attention: Attention | None


class Writer:
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
        self._is_blocked = is_blocked or _says_all
        self._turn = asyncio.Lock()

    async def write(self, wish: Wish) -> Writing:
        """Go on with a text.

        Raises RefusedError for words that are not said, WrongInputError for a text of which the
        model knows no letter, InvalidSettingError for a layer that is not there, EngineErrors.
        """
        deadline = time.monotonic() + self._deadline_seconds
        text_ids = await self._tokenizer.run(partial(_encode, wish.text, self._is_blocked))
        request = PredictionRequest(text_ids, wish.params, wish.length, wish.layer, deadline)
        async with self._turn:
            prediction = await self._engine.predict(request)
        return await self._tokenizer.run(partial(_spell, prediction, self._is_blocked))


def check_length(length: int, num_text_tokens: int, window: int) -> None:
    """Raise WrongInputError where a text that fits leaves no room for `length` more tokens."""
    room = window - num_text_tokens
    if room > 0 and not 1 <= length <= room:
        raise WrongInputError(
            "After this text there is room for 1 to {room} more tokens in the model's window "
            "of {window}: --length cannot be {length}.",
            window=window,
            room=room,
            length=length,
        )


def _says_all(_: str) -> bool:
    return False


def _check_words(text: str, is_blocked: IsBlocked) -> None:
    if is_blocked(text):
        raise RefusedError(
            "There are words in it that I don't say: please try again, or start another text."
        )


def _encode(text: str, is_blocked: IsBlocked, tokenizer: Tokenizer) -> tuple[int, ...]:
    _check_words(text, is_blocked)
    text_ids = tuple(tokenizer.encode(text))
    if not text_ids:
        raise WrongInputError("The model knows no letter of this text: write another one.")
    return text_ids


def _spell(prediction: Prediction, is_blocked: IsBlocked, tokenizer: Tokenizer) -> Writing:
    continuation = continuation_of(prediction, tokenizer)
    _check_words(continuation.text, is_blocked)
    first_steps = []
    for number, step in enumerate(continuation.steps[:NUM_FIRST_STEPS]):
        ids = continuation.ids[: continuation.num_text_tokens + number]
        before = tokenizer.decode(ids)[-_NUM_BEFORE:]
        sayable = [token for token in step.likeliest if not is_blocked(before + token.text)]
        first_steps.append(replace(step, likeliest=tuple(sayable)))
    shown = prediction.attention
    attention = None if shown is None else attention_of(shown, continuation, tokenizer)
    return Writing(continuation, tuple(first_steps), attention)
