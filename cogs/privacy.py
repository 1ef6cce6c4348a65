"""/privacy and /mydata: what is kept of a member, and how they get it or get rid of it."""

import gzip
import io
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import discord
from discord import app_commands
from discord.app_commands import Choice, locale_str
from discord.ext import commands

from bot.answering.erasures import Erasures
from bot.client.chat_bot import ChatBot
from bot.delivery.delivery import Delivery
from bot.errors import RefusedError
from bot.ports import PrivacyStore
from bot.settings.settings import Settings
from bot.texts import say
from cogs._language import LEAVES_NO_TRACE, locale_of
from cogs._telling import tell, unknown_choice
from cogs.gate import OPEN_TO_ALL

CONFIRMED = "yes"
ERASE_SECONDS = 60.0  # between two of a member: each writes the whole file anew


class PrivacyCommands(commands.Cog):
    """For all members, in servers and direct messages, without any permission."""

    def __init__(
        self, store: PrivacyStore, delivery: Delivery, erasures: Erasures, settings: Settings
    ) -> None:
        self._store = store
        self._delivery = delivery
        self._erasures = erasures
        self._settings = settings
        self._erase_pace = Pace(ERASE_SECONDS)

    mydata = app_commands.Group(name="mydata", description=locale_str("What I keep of you"))

    @app_commands.command(
        name="privacy",
        description=locale_str("What I keep of you, for how long, and your rights"),
        extras={OPEN_TO_ALL: True},
    )
    async def privacy(self, interaction: discord.Interaction) -> None:
        """Nothing is looked up for this answer, so it is there when the database is not."""
        await tell(interaction, privacy_answer(self._settings, locale_of(interaction)))

    @mydata.command(
        name="export",
        description=locale_str("Get everything I keep of you"),
        extras={OPEN_TO_ALL: True},
    )
    async def export(self, interaction: discord.Interaction) -> None:
        """Everything of the member as a file that only they see."""
        await interaction.response.defer(ephemeral=True)
        everything = await self._store.export(interaction.user.id)
        file = as_file(everything, interaction.filesize_limit)
        text = say("This is everything I keep of you.", locale_of(interaction))
        await tell(interaction, text, [file])

    @mydata.command(
        name="erase",
        description=locale_str("Erase everything I keep of you, for good"),
        extras={LEAVES_NO_TRACE: True, OPEN_TO_ALL: True},
    )
    @app_commands.describe(confirm=locale_str("This can't be undone: please confirm"))
    @app_commands.choices(
        confirm=[Choice(name=locale_str("Yes, erase everything of me"), value=CONFIRMED)]
    )
    async def erase(self, interaction: discord.Interaction, confirm: str) -> None:
        """Drop what waits or runs for the member, then remove what is stored.

        The confirmation is an option that has to be chosen: one step, nothing that times out,
        and nothing to remember over a restart.
        """
        if confirm != CONFIRMED:
            raise unknown_choice("confirm", confirm)
        await interaction.response.defer(ephemeral=True)
        with self._erase_pace.once(interaction.user.id):
            await self._delivery.forget_member(interaction.user.id)
            try:
                erased = await self._store.erase(interaction.user.id)
            finally:
                self._erasures.note()  # also of replies that were made of them meanwhile
        text = say(
            "Erased: {num_turns} turns of our conversations and {num_settings} settings of yours. "
            "What you wrote on Discord itself is yours: only you can delete it there.",
            locale_of(interaction),
            num_turns=erased.num_turns,
            num_settings=erased.num_overrides,
        )
        await tell(interaction, text)


def privacy_answer(settings: Settings, locale: str) -> str:
    """What is kept, where, for how long, what it is for, and what a member can do about it."""
    kept = [
        say("**What I keep**", locale),
        say(
            "- What you say to me and what I answer, so that I can follow our "
            "conversation: for {days} days, then I delete it. I keep nothing of other "
            "messages.",
            locale,
            days=settings.retention_days,
        ),
        *_looks_back(settings, locale),
        say("- Your `/settings` and the language of your Discord, until you erase them.", locale),
        _storage(settings, locale),
        say("- I use it only to answer you. Your words never train a model.", locale),
    ]
    rights = [
        say("**What you can do**", locale),
        say("- `/mydata export` gives you everything, `/mydata erase` removes it.", locale),
        say("- If you edit or delete a message, what I kept of it changes, too.", locale),
        say("- `/reset` starts our conversation over, but deletes nothing.", locale),
    ]
    paragraphs = ["\n".join(kept), "\n".join(rights)]
    if settings.privacy_url:
        paragraphs.append(say("Privacy policy: {url}", locale, url=f"<{settings.privacy_url}>"))
    return "\n\n".join(paragraphs)  # without the empty line Discord takes a heading into the list


def _looks_back(settings: Settings, locale: str) -> list[str]:
    """What is read after an outage."""
    if not settings.catch_up_minutes:
        return []
    return [
        say(
            "- When I was away, I look for what you said to me in the last {minutes} minutes, in "
            "places where we talked lately. I keep nothing of what else I see there.",
            locale,
            minutes=settings.catch_up_minutes,
        )
    ]


def _storage(settings: Settings, locale: str) -> str:
    """Where the words are kept; without HISTORY_KEY a key file encrypts them."""
    key = settings.history_key
    if key is None or key.get_secret_value().strip().lower() != "off":
        return say(
            "- It's kept in the database of the person who runs me; the texts are encrypted there.",
            locale,
        )
    return say(
        "- It's kept in the database of the person who runs me; I don't encrypt the texts there.",
        locale,
    )


def as_file(everything: Mapping[str, object], max_bytes: int) -> discord.File:
    """`everything` as a JSON file, packed where Discord would refuse it for its size."""
    text = json.dumps(everything, ensure_ascii=False, indent=2)
    content = text.encode("utf-8", "replace")  # a lone surrogate has no UTF-8
    if len(content) <= max_bytes:
        return discord.File(io.BytesIO(content), "banter-my-data.json")
    return discord.File(io.BytesIO(gzip.compress(content)), "banter-my-data.json.gz")


class Pace:
    """Lets each member do something once in `seconds`. `clock` gives seconds that never go back."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._free_at: dict[int, float] = {}

    @contextmanager
    def once(self, user_id: int) -> Iterator[None]:
        """Do it now, in the block; a block that fails does not count. Raises RefusedError."""
        now = self._clock()
        for other in [one for one, free_at in self._free_at.items() if free_at <= now]:
            del self._free_at[other]
        if user_id in self._free_at:
            raise RefusedError(
                "You've just done that: you can do it again in {seconds} s.",
                seconds=math.ceil(self._free_at[user_id] - now),
            )
        self._free_at[user_id] = now + self._seconds
        try:
            yield
        except BaseException:
            self._free_at.pop(user_id, None)
            raise


async def setup(bot: ChatBot) -> None:
    """Add the commands."""
    services = bot.services
    await bot.add_cog(
        PrivacyCommands(services.privacy, services.delivery, services.erasures, services.settings)
    )
