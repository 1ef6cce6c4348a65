"""The bot in a browser: the process, and the page's own requests with a scripted engine."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import simcord

from bot.answering.erasures import Erasures
from bot.errors import UnavailableError
from bot.playground.playground import (
    World,
    open_page,
    open_world,
    playground_settings,
    serve_playground,
)
from bot.settings.settings import VARIABLES, Settings
from bot.startup.foundation import Foundation
from bot.store.database.database import Database
from tests.fakes import InlineTokenizerThread, ScriptedEngine
from tests.tiny_models import make_tiny_gpt2

ROOT = Path(__file__).parent.parent.parent
SECONDS = 60


def environ(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    path = os.pathsep.join([str(ROOT), *sys.path[1:]])
    return kept | {"PYTHONPATH": path, "LC_ALL": "C.UTF-8"} | variables


@pytest.mark.process
def test_without_a_token_a_page_is_served_until_ctrl_c(tmp_path: Path) -> None:
    model = make_tiny_gpt2(tmp_path / "tiny")
    with subprocess.Popen(
        [sys.executable, "-m", "bot"],
        cwd=tmp_path,
        env=environ(MODEL=str(model)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(4)]
            assert lines[0].startswith("DISCORD_TOKEN is not set, so this is the playground")
            addresses = re.findall(r"http://127\.0\.0\.1:\d+/#\S+", "".join(lines))
            assert len(addresses) == 2
            for address in addresses:
                with urllib.request.urlopen(address, timeout=SECONDS) as page:  # noqa: S310 - ours
                    assert b'id="channel-composer"' in page.read()
            child.send_signal(signal.SIGINT)
            rest, complaints = child.communicate(timeout=SECONDS)
            assert (child.returncode, rest, complaints) == (0, "", "")
        finally:
            child.kill()
    assert (tmp_path / "data" / "playground.db").exists()


WITHOUT_SIMCORD = (
    "import sys; sys.modules['simcord'] = None\n"
    "from bot.__main__ import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["playground"], 69, "The playground needs packages that are not installed (simcord): run"),
        ([], 78, "DISCORD_TOKEN is not set: create an application on https://discord.com/"),
    ],
)
def test_without_simcord_one_sentence_says_what_to_do(
    tmp_path: Path, arguments: list[str], exit_code: int, sentence: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SIMCORD, *arguments],
        cwd=tmp_path,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("offset", [0, 1])
async def test_a_port_that_is_taken_is_told_at_once(offset: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=rf"cannot use port {port} .*--port"):
            await serve_playground(Settings(), port - offset, "en", print)


async def test_a_port_that_there_is_not_is_told() -> None:
    with pytest.raises(UnavailableError, match="cannot use port 70000"):
        await serve_playground(Settings(), 70000, "en", print)


def test_the_fences_of_a_server_do_not_stand_in_the_playground() -> None:
    strict = Settings(allow_dms=False, allowed_channel_ids=frozenset({1}), cooldown_seconds=60)
    settings = playground_settings(strict)
    assert settings.allow_dms
    assert not settings.allowed_channel_ids
    assert settings.cooldown_seconds == 0
    assert settings.database_url.endswith("data/playground.db")


@dataclass
class Browser:
    """A page as its own program talks to the server."""

    http: aiohttp.ClientSession
    address: str
    page_id: str = ""
    sequence: int = 0
    last: dict[str, Any] = field(default_factory=dict)

    async def open(self) -> None:
        self.last = await self._ask("POST", "/api/pages", {})
        self.page_id = self.last["context"]["id"]

    async def send(self, text: str) -> dict[str, Any]:
        """Send a message from what the page showed last, however old that is."""
        self.sequence += 1
        return await self._ask(
            "POST",
            "/api/action",
            {
                "protocol_version": 3,
                "kind": "send_message",
                "content": text,
                "sequence": self.sequence,
                "request_id": f"request-{self.sequence}",
                "generation": self.last["context"]["generation"],
                "bot_generation": self.last["botGeneration"],
                "published_revision": self.last["publishedRevision"],
            },
        )

    async def texts(self) -> list[str]:
        """What the page shows now, oldest first."""
        state = await self._ask("GET", "/api/state", None)
        messages = state["messages"]
        return [messages[key]["content"] for key in sorted(messages, key=int)]

    async def wait_for(self, shown: Callable[[list[str]], bool]) -> list[str]:
        end = time.monotonic() + 10
        while not shown(texts := await self.texts()):
            assert time.monotonic() < end, texts
            await asyncio.sleep(0.02)
        return texts

    async def _ask(self, method: str, path: str, body: Any) -> dict[str, Any]:
        base, capability = self.address.split("/#")
        headers = {"X-Simcord-Capability": capability, "X-Simcord-Context": self.page_id}
        async with self.http.request(method, base + path, json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found


@asynccontextmanager
async def browser_on(page: simcord.Preview) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession() as http:
        browser = Browser(http, page.url)
        await browser.open()
        yield browser


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


def foundation_on(database: Database, engine: ScriptedEngine) -> Foundation:
    settings, tokenizer = playground_settings(Settings()), InlineTokenizerThread()
    return Foundation(settings, database, engine, tokenizer, Erasures(engine))


@pytest.fixture
async def world(database: Database, engine: ScriptedEngine) -> AsyncIterator[World]:
    foundation = foundation_on(database, engine)
    async with open_world(foundation) as world:
        refreshing = asyncio.create_task(world.keep_current())
        yield world
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)


async def test_a_direct_message_is_answered_with_what_was_said_before(
    world: World, engine: ScriptedEngine
) -> None:
    async with open_page(world, world.user, None, "en") as page, browser_on(page) as browser:
        await browser.send("my name is Ada")
        await browser.wait_for(lambda texts: len(texts) == 2)
        await browser.send("what is my name?")
        await browser.wait_for(lambda texts: len(texts) == 4)
    assert b"my name is Ada" in bytes(i for i in engine.asked[1].prompt_ids if i < 256)


async def test_messages_sent_while_the_bot_thinks_are_shown_and_answered_in_order(
    world: World, engine: ScriptedEngine
) -> None:
    engine.gate.clear()
    async with open_page(world, world.user, None, "en") as page, browser_on(page) as browser:
        for number in range(5):
            receipt = await browser.send(f"question {number}")
            assert receipt["settlement"] == "settled"
        assert await browser.texts() == [f"question {number}" for number in range(5)]
        engine.gate.set()
        texts = await browser.wait_for(lambda texts: len(texts) == 10)
    assert len(set(texts)) == 10
    asked = [bytes(i for i in one.prompt_ids if i < 256) for one in engine.asked]
    assert [prompt.endswith(b"question %d" % n) for n, prompt in enumerate(asked)] == [True] * 5


async def test_in_the_server_the_bot_answers_where_its_name_is_written(world: World) -> None:
    async with (
        open_page(world, world.user, None, "en") as direct,
        open_page(world, world.member, None, "en") as server,
        browser_on(server) as browser,
        browser_on(direct) as other,
    ):
        await browser.send("hello everybody")
        await browser.send("@Banter hello")
        texts = await browser.wait_for(lambda texts: len(texts) == 3)
        assert world.bot.user is not None
        assert texts[:2] == ["hello everybody", f"{world.bot.user.mention} hello"]
        await other.send("and here")
        assert len(await other.wait_for(lambda texts: len(texts) == 2)) == 2


async def test_the_clock_is_true_and_the_commands_are_there_at_every_start(
    database: Database, engine: ScriptedEngine
) -> None:
    foundation = foundation_on(database, engine)
    for _ in range(2):
        async with open_world(foundation) as world:
            assert abs(world.env.now().timestamp() - time.time()) < 5
            assert "settings" in world.user.available_commands()
