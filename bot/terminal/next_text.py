"""`python -m bot next`: goes on with one text, on a model that is opened for it alone."""

import math
from contextlib import AsyncExitStack
from functools import partial

from bot.answering.text_completion import CompletedText, TextCompleter, TextToComplete
from bot.dialogue.prompt import Tokenizer
from bot.errors import WrongInputError
from bot.settings.settings import Settings
from bot.startup.foundation import open_model
from bot.startup.model_folder import model_folder


async def go_on(settings: Settings, start: TextToComplete) -> CompletedText:
    """Go on with the text of `start`; every word may be said.

    Raises StartError when something that the model needs is wrong or missing, WrongInputError for
    a length that the window has no room for, and what TextCompleter.complete raises.
    """
    async with AsyncExitStack() as stack:
        engine, tokenizer = await open_model(settings, model_folder(settings), None, stack)
        num_tokens = await tokenizer.run(partial(_num_tokens, start.text))
        _check_length(start.length, num_tokens, engine.info.window)
        completer = TextCompleter(engine=engine, tokenizer=tokenizer, deadline_seconds=math.inf)
        return await completer.complete(start)


def _num_tokens(text: str, tokenizer: Tokenizer) -> int:
    return len(tokenizer.start_ids) + len(tokenizer.encode(text))


def _check_length(length: int, num_text_tokens: int, window: int) -> None:
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
