"""A bare discord.py client, to show that the server is one that discord.py believes."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import discord

from tests.discord_server.waiting import Watch

T = TypeVar("T")


class BareClient(discord.Client):
    """Notes what arrives, and waits for nothing that a real client waits for out of courtesy."""

    def __init__(self, intents: discord.Intents | None = None) -> None:
        super().__init__(intents=intents or plain_intents(), guild_ready_timeout=0.05)
        self.watch = Watch()
        self.tree = discord.app_commands.CommandTree(self)
        self.heard: list[discord.Message] = []
        self.events: list[tuple[str, Any]] = []

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Note every event before its listeners run."""
        super().dispatch(event, *args, **kwargs)
        self.events.append((event, args[0] if args else None))
        if event == "message":
            self.heard.append(args[0])
        self.watch.changed()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Identify again at once: discord.py would wait for five seconds."""

    async def until(self, found: Callable[[], T | None], timeout: float = 10.0) -> T:
        """The first true value of `found()`, looked at after every event."""
        return await self.watch.until(found, timeout=timeout, what="an event")

    async def until_event(self, name: str, number: int = 1) -> Any:
        """What the `number`-th event of a name carried."""
        return (await self.until(lambda: self._seen(name, number)))[0]

    def _seen(self, name: str, number: int) -> tuple[Any] | None:
        of_name = [carried for event, carried in self.events if event == name]
        return (of_name[number - 1],) if len(of_name) >= number else None

    async def hears(self, message_id: int) -> discord.Message:
        """A message, once it has arrived."""

        def found() -> discord.Message | None:
            return next((one for one in self.heard if one.id == message_id), None)

        return await self.until(found)


def plain_intents() -> discord.Intents:
    """All intents that need no permission in the portal."""
    intents = discord.Intents.default()
    intents.message_content = False
    return intents


async def run_until_closed(client: discord.Client, token: str) -> None:
    """Connect until the client is closed; what ends it is raised."""
    async with client:
        await client.start(token)


def connected(client: discord.Client, token: str) -> "asyncio.Task[None]":
    """The same in the background."""
    return asyncio.create_task(run_until_closed(client, token))
