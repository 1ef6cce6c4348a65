"""`python -m bot next`: goes on with one text, on a model that is opened for it alone."""

import math
from contextlib import AsyncExitStack

from bot.answering.text_completion import CompletedText, TextCompleter, TextToComplete, check_length
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
        num_tokens = len(await tokenizer.run(lambda one: one.encode(start.text)))
        check_length(start.length, num_tokens, engine.info.window)
        completer = TextCompleter(engine=engine, tokenizer=tokenizer, deadline_seconds=math.inf)
        return await completer.complete(start)
