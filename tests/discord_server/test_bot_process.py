"""A child process that knows nothing of tests, and yet meets the test's server."""

import json
import signal
from pathlib import Path

import pytest

from tests.discord_server.bot_process import BotProcess
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Channel, User

ECHO = """\
import os
import discord

client = discord.Client(intents=discord.Intents.default())

@client.event
async def on_message(message):
    if message.author != client.user:
        await message.reply(message.clean_content.upper())

client.run(os.environ["DISCORD_TOKEN"])
"""


async def test_child_talks_to_the_server_it_was_not_told_of(
    server: DiscordServer, general: Channel, ada: User, tmp_path: Path
) -> None:
    async with await BotProcess.start(server, folder=tmp_path, arguments=["-c", ECHO]) as child:
        await child.ready()
        server.say(general, ada, "hello", mention_bot=True)
        (reply,) = await server.wait_replies(general)
        assert reply.content.endswith("HELLO")
        server.gateway.drop()
        server.say(general, ada, "again", mention_bot=True)
        await server.wait_replies(general, 2)
        ended = await child.terminate()
        assert ended.exit_code == -signal.SIGTERM
        assert ended.seconds < 10
        assert child.strays == []


async def test_child_that_ends_before_it_is_ready_says_why(
    server: DiscordServer, tmp_path: Path
) -> None:
    code = "import sys; sys.exit('no such model')"
    async with await BotProcess.start(server, folder=tmp_path, arguments=["-c", code]) as child:
        with pytest.raises(AssertionError, match="no such model"):
            await child.ready()
        assert (await child.ended()).exit_code == 1


async def test_killed_child_is_gone(server: DiscordServer, tmp_path: Path) -> None:
    async with await BotProcess.start(server, folder=tmp_path, arguments=["-c", ECHO]) as child:
        await child.ready()
        assert (await child.kill()).exit_code == -signal.SIGKILL
        assert not child.running
        await server.wait_for(lambda: server.gateway.num_open == 0)


async def test_child_that_does_not_end_is_killed_and_reported(
    server: DiscordServer, tmp_path: Path
) -> None:
    code = "print('up', flush=True); input() if False else __import__('signal').pause()"
    async with await BotProcess.start(server, folder=tmp_path, arguments=["-c", code]) as child:
        with pytest.raises(AssertionError, match=r"did not end within 0\.05 s"):
            await child.ended(timeout=0.05)
        assert not child.running


async def test_redirect_imports_nothing_and_leaves_modules_as_they_are(
    server: DiscordServer, tmp_path: Path
) -> None:
    code = """\
import json, sys
early = sorted(name for name in sys.modules if name.split(".")[0] in {"discord", "aiohttp"})
import discord.asset, discord.gateway, discord.http
print(json.dumps({
    "early": early,
    "addresses": [
        discord.http.Route.BASE,
        str(discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY),
        discord.asset.Asset.BASE,
    ],
    "loaders": sorted({type(discord.http.__loader__).__name__,
                       type(discord.http.__spec__.loader).__name__}),
}))
"""
    async with await BotProcess.start(server, folder=tmp_path, arguments=["-c", code]) as child:
        assert (await child.ended()).exit_code == 0
        assert child.stderr == ""
        assert json.loads(child.stdout) == {
            "early": [],
            "addresses": [server.api_url, server.gateway.url, f"{server.url}/cdn"],
            "loaders": ["SourceFileLoader"],
        }


@pytest.mark.parametrize(
    "attempt",
    [
        "__import__('socket').create_connection(('192.0.2.1', 443), timeout=1)",
        "__import__('socket').getaddrinfo('discord.com', 443)",
    ],
)
async def test_child_cannot_leave_the_loopback(
    server: DiscordServer, tmp_path: Path, attempt: str
) -> None:
    async with await BotProcess.start(server, folder=tmp_path, arguments=["-c", attempt]) as child:
        assert (await child.ended()).exit_code == 1
        assert "a test reaches only the loopback" in child.stderr
        assert len(child.strays) >= 1
