"""A patient in good health, and the Discord that it knows."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from discord.http import Route

from tests.discord_server.server import DiscordServer, serving
from tests.discord_server.state import Channel, Guild
from tests.doctor.patient import Patient


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordServer]:
    """A server that discord.py in this process takes for Discord."""
    async with serving() as running:
        running.set_in_portal(bot_public=False)
        monkeypatch.setattr(Route, "BASE", running.api_url)
        yield running


@pytest.fixture
def guild(server: DiscordServer) -> Guild:
    return server.add_guild("Home")


@pytest.fixture
def general(server: DiscordServer, guild: Guild) -> Channel:
    return server.add_channel(guild, "general")


@pytest.fixture
def lonely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """A bot without a token, with the embedded model."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the lock of a token lies
    return Patient(folder, {"DEVICE": "cpu"})


@pytest.fixture
def patient(lonely: Patient, server: DiscordServer, general: Channel) -> Patient:
    """A bot in one server, with nothing wrong about it."""
    assert general.guild is not None
    lonely.environ |= {
        "DISCORD_TOKEN": server.token,
        "MODEL": "embedded",
        "PRIVACY_URL": "https://example.org/privacy",
    }
    return lonely
