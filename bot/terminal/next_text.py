"""`python -m bot next`: goes on with one text, on a model that is opened for it alone."""

import math
from contextlib import AsyncExitStack

from bot.answering.completion import Wish, Writer, Writing, check_length
from bot.settings.settings import Settings
from bot.startup.foundation import open_model
from bot.startup.model_folder import model_folder


async def go_on(settings: Settings, wish: Wish) -> Writing:
    """Go on with the text of `wish`; every word may be said.

    Raises StartError when something that the model needs is wrong or missing, WrongInputError for
    a length that the window has no room for, and what Writer.write raises.
    """
    async with AsyncExitStack() as stack:
        engine, tokenizer = await open_model(settings, model_folder(settings), None, stack)
        num_tokens = len(await tokenizer.run(lambda one: one.encode(wish.text)))
        check_length(wish.length, num_tokens, engine.info.window)
        writer = Writer(engine=engine, tokenizer=tokenizer, deadline_seconds=math.inf)
        return await writer.write(wish)
