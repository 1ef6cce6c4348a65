"""The tiny model, made once, and a home for the bot."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.discord_server.server import serving
from tests.tiny_models import make_tiny_gpt2
from tests.whole_bot.home import Home


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real GPT-2 of two layers that has learnt nothing."""
    return make_tiny_gpt2(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
async def home(tmp_path: Path, model_folder: Path) -> AsyncIterator[Home]:
    """A server, a channel, a member, and an empty folder for the bot."""
    async with serving() as server:
        guild = server.add_guild("Home")
        yield Home(
            server=server,
            guild=guild,
            general=server.add_channel(guild, "general"),
            ada=server.add_member(guild, "ada"),
            folder=tmp_path,
            env={
                "MODEL": str(model_folder),
                "COOLDOWN_SECONDS": "0",
                "MAX_PENDING_PER_USER": "100",
                "NUM_THREADS": "1",
                "TMPDIR": str(tmp_path),  # where the lock of the token lies
            },
        )
