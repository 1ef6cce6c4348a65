"""The stage with what commands need: more people, permissions, raw interactions, stored turns."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import discord
from simcord import interactions
from simcord.results import InteractionResult

from bot.client.chat_bot import ChatBot
from bot.dialogue.sampling import Layer, Number, Place
from bot.dialogue.turn import Scope, Utterance
from bot.engine.protocol import Cancellation
from bot.settings.settings import Settings
from bot.store.database.database import Database
from bot.store.upkeep.opening import open_database
from tests.cogs.stage import Stage, build_services, open_stage
from tests.fakes import ScriptedEngine

MAX_CHARS = 2000  # of a Discord message
OPTION_TYPES = {str: 3, int: 4, bool: 5, float: 10}
AWAY = "I can't reach my memory right now"


class Faults(logging.Handler):
    """Keeps what the cogs log as a fault of ours."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class World:
    """The stage's server with another channel, and a member who may manage both."""

    def __init__(self, stage: Stage, database: Database) -> None:
        self.stage = stage
        self.database = database
        self.env: Any = stage.env
        self.services = stage.services
        self.guild, self.channel, self.alice = stage.guild, stage.channel, stage.alice
        self.other_channel = self.guild.create_text_channel("other")
        rights = discord.Permissions(manage_channels=True, manage_guild=True)
        role = self.guild.create_role("Moderators", permissions=rights)
        self.moderator = stage.member("moderator", roles=[role])
        self._message_ids = count(1)

    def said(self, scope: Scope, text: str, author: Any = None) -> Utterance:
        """What the author (alice) says in `scope`."""
        return Utterance(
            message_id=next(self._message_ids),
            scope=scope,
            author_id=(author or self.alice).id,
            text=text,
            created_at=discord.utils.utcnow(),
            guild_id=self.guild.id,
        )

    async def talk(self, scope: Scope, text: str, author: Any = None) -> None:
        """Let the author say it, and the bot answer and remember the exchange."""
        said = self.said(scope, text, author)
        await self.services.conversation.respond(said, Cancellation())

    async def num_turns(self, scope: Scope) -> int:
        """How many turns of `scope` count."""
        return (await self.services.history.status(scope)).num_turns

    async def stored(self, place: Place) -> dict[Layer, dict[str, Number]]:
        """What is set at `place`, without layers where nothing is."""
        found = await self.services.sampling.overrides(place)
        return {layer: dict(values) for layer, values in found.items() if values}

    def place(self, actor: Any = None) -> Place:
        """The channel for the actor (alice)."""
        return Place(self.guild.id, self.channel.id, (actor or self.alice).id)

    async def use(
        self,
        actor: Any,
        channel: Any,
        command: str,
        *,
        locale: str = "en-US",
        permissions: int | None = None,
        **options: Any,
    ) -> InteractionResult:
        """Send an interaction as it is, unchecked: any locale, any value, any permissions."""
        guild_id = self.guild.id if actor in (self.alice, self.moderator) else None
        name, *path = command.split()
        record, payload = interactions.base_payload(
            self.env.backend,
            type=2,
            channel_id=channel.id,
            guild_id=guild_id,
            user_id=actor.id,
            data={
                "id": self.env.backend.find_command(name, guild_id, type=1)["id"],
                "name": name,
                "type": 1,
                "options": _nested(path, options),
            },
        )
        payload["locale"] = locale
        if permissions is not None:
            payload["member"]["permissions"] = str(permissions)
        self.env.backend.emit("INTERACTION_CREATE", payload)
        await self.env.settle()
        return InteractionResult(self.env, record)

    def registered(self) -> dict[str, dict[str, Any]]:
        """The commands as Discord knows them, by name."""
        commands = self.env.backend.commands[None].values()
        return {command["name"]: json.loads(json.dumps(command)) for command in commands}


def text_of(result: InteractionResult) -> str:
    """The answer to a command; that it fits a message is checked wherever one is read."""
    assert result.response is not None
    assert 0 < len(result.response.content) <= MAX_CHARS
    return result.response.content


def attachments_of(result: InteractionResult) -> list[discord.Attachment]:
    """The files of the answer to a command."""
    assert result.response is not None
    return result.response.attachments


def _nested(path: list[str], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = [
        {"name": name, "type": OPTION_TYPES[type(value)], "value": value}
        for name, value in options.items()
    ]
    for name in reversed(path):
        sent = [{"name": name, "type": 1, "options": sent}]
    return sent


@asynccontextmanager
async def commands_world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    """The world with a running bot; `settings` are fields of Settings.

    A fault of the bot's own fails the test at the end.
    """
    database = await open_database(
        f"sqlite+aiosqlite:///{folder}/banter.db", history_key="off", key_path=folder / "key"
    )
    engine = ScriptedEngine()
    services = build_services(database, engine, Settings(**settings))
    faults = Faults()
    logging.getLogger("cogs").addHandler(faults)
    try:
        async with open_stage(ChatBot(services), engine) as stage:
            yield World(stage, database)
    finally:
        logging.getLogger("cogs").removeHandler(faults)
        await database.close()
    assert faults.lines == []
