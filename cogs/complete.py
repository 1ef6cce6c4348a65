"""/complete: the model goes on with a text, and a picture shows what it looked at.

The text, what came of it and the picture are in the answer on Discord and nowhere else: nothing
of them is stored or logged, and they belong to no conversation.
"""

import asyncio
import io
from typing import Annotated

import discord
from discord import app_commands
from discord.app_commands import Range, locale_str
from discord.ext import commands

from bot.answering.conversation import Conversation
from bot.answering.text_completion import (
    LENGTH,
    SAMPLING_OPTIONS,
    CompletedText,
    TextCompleter,
    TextToComplete,
    check_text,
    params_for,
)
from bot.client.chat_bot import ChatBot
from bot.delivery.admission import Admission
from bot.dialogue.continuation import Attention
from bot.dialogue.sampling import Number, check
from bot.dialogue.text import clean
from bot.engine.protocol import LAST_LAYER
from bot.errors import InvalidSettingError
from bot.rendering.attention_picture import TITLE, can_draw, draw_picture
from bot.texts import say
from cogs._completion_answer import completed_answer
from cogs._discord.places import place_of
from cogs._language import locale_of
from cogs._telling import tell
from cogs.settings import bounded

MAX_LENGTH = 100
MAX_LAYER = 1000  # of any model; which layers there are, the engine knows


class CompletionCommands(commands.Cog):
    """Lets members try next-word prediction.

    The answer is public, with the table of its first steps: people show each other what came of
    a beginning, and a second, private message for the table would be torn from its text.
    """

    def __init__(
        self, completer: TextCompleter, conversation: Conversation, admission: Admission
    ) -> None:
        self._completer = completer
        self._conversation = conversation
        self._admission = admission
        self._drawing = asyncio.Lock()  # matplotlib is not made for two threads

    @app_commands.command(
        name="complete", description=locale_str("I go on with a text, word by word")
    )
    @app_commands.describe(
        text=locale_str("How it begins"),
        length=locale_str("How many word pieces I add at most; 50 by default"),
        temperature=locale_str("How daring: low is predictable, high is surprising"),
        top_k=locale_str("Choose among this many most likely words; 0 is off"),
        top_p=locale_str("Choose among the most likely words up to this share; 1 is off"),
        seed=locale_str("The same seed and the same text give the same continuation"),
        picture=locale_str("Whether to draw which words each word looks at; yes by default"),
        layer=locale_str("The layer of the model to draw, counted from 1; the last one by default"),
    )
    async def complete(
        self,
        interaction: discord.Interaction,
        *,
        text: str,
        length: Range[int, 1, MAX_LENGTH] = LENGTH,
        temperature: Annotated[float | None, bounded("temperature")] = None,
        top_k: Annotated[int | None, bounded("top_k")] = None,
        top_p: Annotated[float | None, bounded("top_p")] = None,
        seed: Annotated[int | None, bounded("seed")] = None,
        picture: bool = True,
        layer: Range[int, 1, MAX_LAYER] | None = None,
    ) -> None:
        """Check what was typed, take a place like a message, and answer for all to see."""
        given = check_text(clean(text))
        # The signature declares the options to Discord; here they are taken by name.
        wished = {
            name: check(name, value)
            for name, value in interaction.namespace
            if name in SAMPLING_OPTIONS
        }
        _check_whole("length", length, MAX_LENGTH)
        if layer is not None:
            _check_whole("layer", layer, MAX_LAYER)
        shown_layer = (layer or LAST_LAYER) if picture and can_draw() else None
        self._admission.admit(interaction.user.id)
        try:
            await interaction.response.defer()
            effective = await self._conversation.effective(place_of(interaction))
            start = TextToComplete(given, params_for(effective.params, wished), length, shown_layer)
            await self._answer(
                interaction, start, await self._completer.complete(start), picture=picture
            )
        finally:
            self._admission.release(interaction.user.id)

    async def _answer(
        self,
        interaction: discord.Interaction,
        start: TextToComplete,
        completed: CompletedText,
        *,
        picture: bool,
    ) -> None:
        locale, notes, files = locale_of(interaction), [], []
        if completed.attention is not None:
            files.append(await self._draw(completed.attention, locale))
        elif start.layer is not None:
            notes.append(
                say("This model doesn't show what it looks at, so there's no picture.", locale)
            )
        elif picture:
            notes.append(
                say(
                    "There's no picture: the person who runs me hasn't installed the extra {extra} "
                    "(matplotlib).",
                    locale,
                    extra="`plots`",
                )
            )
        await tell(interaction, completed_answer(start.text, completed, notes, locale), files)

    async def _draw(self, attention: Attention, locale: str) -> discord.File:
        async with self._drawing:
            # a second of work, and rare: beside the engine and the tokenizer, not in their threads
            picture = await asyncio.to_thread(draw_picture, attention, locale)
        title = say(TITLE, locale, layer=attention.layer, num_layers=attention.num_layers)
        return discord.File(io.BytesIO(picture), "attention.png", description=title)


def _check_whole(name: str, value: Number, high: int) -> None:
    """Raise InvalidSettingError for what Discord's clients do not offer: it is forged."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= high:
        raise InvalidSettingError(name=name, low=1, high=high, value=value)


async def setup(bot: ChatBot) -> None:
    """Add the command."""
    services = bot.services
    await bot.add_cog(
        CompletionCommands(services.completer, services.conversation, services.admission)
    )
