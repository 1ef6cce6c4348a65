"""A running server, and a bare client that is connected to it."""

import asyncio
from collections.abc import AsyncIterator

import discord
import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from tests.discord_server.bare_client import BareClient, connected
from tests.discord_server.server import DiscordServer, serving
from tests.discord_server.state import Channel, Guild, User


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordServer]:
    """A server that discord.py in this process takes for Discord."""
    async with serving() as running:
        monkeypatch.setattr(Route, "BASE", running.api_url)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(running.gateway.url))
        yield running


@pytest.fixture
def guild(server: DiscordServer) -> Guild:
    """A guild with the bot in it."""
    return server.add_guild("Home")


@pytest.fixture
def general(server: DiscordServer, guild: Guild) -> Channel:
    """A text channel where everybody may talk."""
    return server.add_channel(guild, "general")


@pytest.fixture
def ada(server: DiscordServer, guild: Guild) -> User:
    """A member without any special permission."""
    return server.add_member(guild, "ada")


@pytest.fixture
async def client(server: DiscordServer, general: Channel, ada: User) -> AsyncIterator[BareClient]:
    """A client that is ready, in a guild with one channel and one member."""
    bare = BareClient()
    running = connected(bare, server.token)
    await server.wait_ready()
    await bare.until_event("ready")
    yield bare
    await bare.close()
    await asyncio.gather(running, return_exceptions=True)


def text_channel(client: discord.Client, channel: Channel) -> discord.TextChannel:
    """The client's own view of a channel."""
    found = client.get_channel(channel.id)
    assert isinstance(found, discord.TextChannel)
    return found
