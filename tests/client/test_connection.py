"""How a start ends that Discord does not let happen: one attempt, one sentence, an exit code."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import discord
import pytest
import yarl
from aiohttp import web

from bot.client.chat_bot import ChatBot
from bot.client.connection import check_token, run_client
from bot.errors import (
    EXIT_UNAVAILABLE,
    EXIT_WRONG_SETTINGS,
    StartError,
    UnavailableError,
    WrongSettingsError,
)
from bot.settings.settings import Settings
from bot.store.database.database import Database
from tests.cogs.stage import build_services
from tests.discord_server.platform import token_of
from tests.fakes import ScriptedEngine

TOKEN = token_of(123456789012345678)
USER = {"id": "1", "username": "banter", "discriminator": "0", "avatar": None}


def answer(content: object, *, status: int = 200) -> web.Response:
    """JSON as Discord sends it: discord.py takes no Content-Type that names a charset."""
    headers = {"Content-Type": "application/json"}
    return web.Response(body=json.dumps(content).encode(), status=status, headers=headers)


@dataclass
class Door:
    """As much of Discord as a login meets. It answers `status`, then closes with `code`."""

    status: int = 200
    code: int = 1000
    logins: int = 0
    identifies: list[object] = field(default_factory=list)
    on_login: Callable[[], Awaitable[None]] | None = None

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/api/v10/users/@me", self._me)
        application.router.add_get("/api/v10/oauth2/applications/@me", self._application)
        application.router.add_get("/api/v10/applications/1/commands", self._commands)
        application.router.add_put("/api/v10/applications/1/commands", self._commands)
        application.router.add_get("/gateway", self._gateway)
        return application

    async def _me(self, request: web.Request) -> web.Response:
        self.logins += 1
        assert request.headers["Authorization"] == f"Bot {TOKEN}"
        if self.on_login is not None:
            await self.on_login()
        if self.status != 200:
            return answer({"message": "no", "code": 0}, status=self.status)
        return answer({**USER, "bot": True})

    async def _application(self, _: web.Request) -> web.Response:
        return answer(
            {
                "id": "1",
                "name": "banter",
                "description": "",
                "icon": None,
                "verify_key": "",
                "owner": USER,
                "flags": 0,
                "bot_public": True,
                "bot_require_code_grant": False,
            }
        )

    async def _commands(self, _: web.Request) -> web.Response:
        return answer([])

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": 45000}})
        self.identifies.append(await socket.receive_json())
        await socket.close(code=self.code)
        return socket


@asynccontextmanager
async def opened(door: Door, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Serve `door` on loopback, and point discord.py there; the port."""
    runner = web.AppRunner(door.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    point_at(port, monkeypatch)
    try:
        yield port
    finally:
        await runner.cleanup()


def point_at(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discord.http.Route, "BASE", f"http://127.0.0.1:{port}/api/v10")
    gateway = yarl.URL(f"ws://127.0.0.1:{port}/gateway")
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)


@pytest.fixture
def bot(database: Database, settings: Settings) -> ChatBot:
    return ChatBot(build_services(database, ScriptedEngine(), settings), extensions=())


async def test_a_refused_token_is_tried_once(bot: ChatBot, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(status=401)
    async with opened(door, monkeypatch):
        with pytest.raises(WrongSettingsError, match="DISCORD_TOKEN") as refused:
            await run_client(bot, TOKEN)
    assert refused.value.exit_code == EXIT_WRONG_SETTINGS
    assert TOKEN not in str(refused.value)
    assert door.logins == 1
    assert bot.is_closed()


async def test_a_look_at_the_token_warns_of_nothing_that_is_not_needed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("warn_nacl", "warn_dave"):
        monkeypatch.setattr(discord.VoiceClient, name, True)
    door = Door()
    async with opened(door, monkeypatch):
        await check_token(TOKEN)
    assert door.logins == 1
    assert [one for one in caplog.records if one.levelname == "WARNING"] == []


@pytest.mark.parametrize("token", ["Bot abc.def", "abc def", "", "abc\ndef", "äöü", '"abc"'])
async def test_what_is_no_token_never_leaves_the_machine(
    bot: ChatBot, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    door = Door()
    async with opened(door, monkeypatch):
        with pytest.raises(WrongSettingsError, match="DISCORD_TOKEN is not a token"):
            await run_client(bot, token)
    assert door.logins == 0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (4004, "refuses DISCORD_TOKEN"),
        (4010, "too many servers"),
        (4011, "too many servers"),
        (4012, "update Banter"),
        (4013, "refuses the intents"),
        (4014, "refuses the intents"),
    ],
)
async def test_a_refused_connection_is_tried_once(
    bot: ChatBot, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    door = Door(code=code)
    async with opened(door, monkeypatch):
        with pytest.raises(WrongSettingsError, match=words) as refused:
            await run_client(bot, TOKEN)
    assert refused.value.exit_code == EXIT_WRONG_SETTINGS
    assert len(door.identifies) == 1
    assert bot.is_closed()


@pytest.mark.parametrize("overrides", [{"message_content": True}])
async def test_a_refused_message_content_intent_is_named(
    bot: ChatBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(Door(code=4014), monkeypatch):
        with pytest.raises(WrongSettingsError, match="MESSAGE_CONTENT=off"):
            await run_client(bot, TOKEN)


async def test_an_unreachable_discord_is_said_so(
    bot: ChatBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(Door(), monkeypatch):
        pass  # from here on nobody listens at the port
    with pytest.raises(UnavailableError, match="Discord cannot be reached") as refused:
        await run_client(bot, TOKEN)
    assert refused.value.exit_code == EXIT_UNAVAILABLE
    assert bot.is_closed()


@pytest.mark.parametrize("status", [403, 429, 503])
async def test_a_discord_in_trouble_is_said_so(
    bot: ChatBot, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    async with opened(Door(status=status), monkeypatch):
        with pytest.raises(UnavailableError, match="Discord cannot be reached"):
            await run_client(bot, TOKEN)


async def test_an_unreachable_gateway_is_said_so(
    bot: ChatBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord.backoff.ExponentialBackoff, "delay", lambda _: 0.0)
    async with opened(Door(), monkeypatch):
        closed = yarl.URL("ws://127.0.0.1:1/gateway")
        monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", closed)
        with pytest.raises(StartError, match="Discord cannot be reached") as refused:
            await run_client(bot, TOKEN)
    assert refused.value.exit_code == EXIT_UNAVAILABLE
    assert "NoneType" not in str(refused.value)


async def test_a_bot_that_is_closed_while_it_logs_in_ends_quietly(
    bot: ChatBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door()
    async with opened(door, monkeypatch):
        door.on_login = bot.close
        await run_client(bot, TOKEN)
    assert (door.logins, door.identifies) == (1, [])
    await run_client(bot, TOKEN)
    assert door.logins == 1


async def test_a_bot_that_is_closed_between_two_attempts_ends_at_once(
    bot: ChatBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing: list[asyncio.Task[None]] = []

    def long_delay(_: object) -> float:
        closing.append(asyncio.ensure_future(bot.close()))
        return 3600.0

    monkeypatch.setattr(discord.backoff.ExponentialBackoff, "delay", long_delay)
    async with opened(Door(), monkeypatch):
        nowhere = yarl.URL("ws://127.0.0.1:1/gateway")
        monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", nowhere)
        async with asyncio.timeout(5):
            await run_client(bot, TOKEN)
    assert len(closing) == 1


class Lease:
    """Somebody else has the database, or gives it up never."""

    def __init__(self, refusal: StartError | None) -> None:
        self.refusal = refusal
        self.asked: asyncio.Queue[int] = asyncio.Queue()

    async def acquire(self, application_id: int) -> None:
        self.asked.put_nowait(application_id)
        if self.refusal is not None:
            raise self.refusal
        await asyncio.Event().wait()


@pytest.mark.parametrize("kind", [WrongSettingsError, UnavailableError])
async def test_a_database_of_another_process_is_told_before_the_connection(
    bot: ChatBot, monkeypatch: pytest.MonkeyPatch, kind: type[StartError]
) -> None:
    door, lease = Door(), Lease(kind("It is another one's."))
    bot.services = replace(bot.services, lease=lease)
    async with opened(door, monkeypatch):
        with pytest.raises(kind, match="another one's") as refused:
            await run_client(bot, TOKEN)
    assert refused.value.exit_code == kind.exit_code
    assert lease.asked.get_nowait() == 1
    assert (door.logins, door.identifies) == (1, [])
    assert bot.is_closed()


async def test_a_bot_that_is_closed_while_it_waits_for_its_database_ends_quietly(
    bot: ChatBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, lease = Door(), Lease(None)
    bot.services = replace(bot.services, lease=lease)
    async with opened(door, monkeypatch):
        running = asyncio.create_task(run_client(bot, TOKEN))
        await lease.asked.get()
        await bot.close()
        async with asyncio.timeout(5):
            await running
    assert door.identifies == []
