"""A server with a channel, a member and a bot's folder; the bot is started in it and again."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.discord_server.bot_process import BotProcess
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Channel, Guild, Message, User

REPLY_SECONDS = 30.0  # two busy cores


@dataclass
class Home:
    """Everything that outlives one run of the bot. `env` are the bot's settings."""

    server: DiscordServer
    guild: Guild
    general: Channel
    ada: User
    folder: Path
    env: dict[str, str]
    num_starts: int = field(default=0)

    async def start(self, env: Mapping[str, str] | None = None) -> BotProcess:
        """Start the bot and return it when it is on Discord."""
        bot = await self.launch(env)
        self.num_starts += 1
        try:
            await bot.ready(number=self.num_starts)
        except BaseException:
            await bot.kill()
            raise
        return bot

    async def launch(self, env: Mapping[str, str] | None = None) -> BotProcess:
        """Start the bot and do not wait for it."""
        return await BotProcess.start(
            self.server, folder=self.folder, env={**self.env, **(env or {})}
        )

    def say(self, text: str, *, channel: Channel | None = None, reply_to: int | None = None) -> int:
        """Mention the bot in a channel as Ada; the id of her message."""
        return self.server.say(
            channel or self.general, self.ada, text, mention_bot=True, reply_to=reply_to
        )

    async def replies(self, number: int, *, channel: Channel | None = None) -> list[Message]:
        """The bot's messages in a channel, once there are at least `number`."""
        return await self.server.wait_replies(
            channel or self.general, number, timeout=REPLY_SECONDS
        )

    async def talk(self, text: str, *, channel: Channel | None = None) -> Message:
        """Say something and wait for the reply to it."""
        place = channel or self.general
        message_id = self.say(text, channel=place)
        return await self.reply_to(message_id, place)

    async def reply_to(self, message_id: int, channel: Channel | None = None) -> Message:
        """The bot's answer to a message, once it is there."""

        def found() -> Message | None:
            for reply in self.server.replies(channel or self.general):
                if reply.reference is not None and reply.reference.message_id == message_id:
                    return reply
            return None

        return await self.server.wait_for(
            found, timeout=REPLY_SECONDS, what=f"a reply to {message_id}"
        )

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Look into the bot's database."""
        with closing(sqlite3.connect(self.folder / "data" / "banter.db")) as connection:
            return connection.execute(query, parameters).fetchall()

    def prompts(self) -> list[tuple[int, int, int]]:
        """(bot turn, oldest turn of its prompt, tokens of its prompt), oldest first."""
        return self.rows(
            "SELECT id, context_start_id, num_prompt_tokens FROM turn "
            "WHERE role = 'bot' ORDER BY id"
        )
