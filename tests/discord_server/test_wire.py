"""The gateway's frames, spoken without discord.py where discord.py would never say them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.discord_server.intents import Intent
from tests.discord_server.server import DiscordServer
from tests.discord_server.wire import encoder_for

_INTENTS = int(Intent.GUILDS | Intent.GUILD_MESSAGES)


class Raw:
    """A websocket without compression, one frame at a time."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self.websocket = websocket

    async def send(self, op: int, payload: Any) -> None:
        await self.websocket.send_str(json.dumps({"op": op, "d": payload}))

    async def receive(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(await self.websocket.receive_str(timeout=5))
        return frame

    async def close_code(self) -> int | None:
        frame = await self.websocket.receive(timeout=5)
        assert frame.type is aiohttp.WSMsgType.CLOSE
        return self.websocket.close_code


@pytest.fixture
async def raw(server: DiscordServer) -> AsyncIterator[Raw]:
    async with aiohttp.ClientSession() as http, http.ws_connect(server.gateway.url) as websocket:
        socket = Raw(websocket)
        assert (await socket.receive())["op"] == 10
        yield socket


async def identify(raw: Raw, server: DiscordServer) -> dict[str, Any]:
    await raw.send(2, {"token": server.token, "intents": _INTENTS, "properties": {}})
    ready = await raw.receive()
    assert ready["t"] == "READY"
    return ready


async def test_frames_before_identify_close_with_4003(raw: Raw) -> None:
    await raw.send(3, {})
    assert await raw.close_code() == 4003


async def test_oversized_payload_closes_with_4002(raw: Raw) -> None:
    await raw.send(3, {"text": "x" * 5000})
    assert await raw.close_code() == 4002


async def test_wrong_token_closes_with_4004(raw: Raw) -> None:
    await raw.send(2, {"token": "wrong", "intents": _INTENTS, "properties": {}})
    assert await raw.close_code() == 4004


async def test_unknown_operation_closes_with_4001(raw: Raw, server: DiscordServer) -> None:
    await identify(raw, server)
    await raw.send(99, {})
    assert await raw.close_code() == 4001


async def test_resume_from_the_future_closes_with_4007(raw: Raw, server: DiscordServer) -> None:
    ready = await identify(raw, server)
    session_id = ready["d"]["session_id"]
    await raw.send(6, {"token": server.token, "session_id": session_id, "seq": 1000})
    assert await raw.close_code() == 4007


async def test_leaving_with_1000_ends_the_session(raw: Raw, server: DiscordServer) -> None:
    await identify(raw, server)
    await raw.websocket.close(code=1000)
    await server.wait_for(lambda: server.gateway.sessions[0].ended)


async def test_leaving_with_4000_keeps_the_session(raw: Raw, server: DiscordServer) -> None:
    await identify(raw, server)
    await raw.websocket.close(code=4000)
    await server.wait_for(lambda: server.gateway.num_open == 0)
    assert not server.gateway.sessions[0].ended


async def test_events_without_their_intent_do_not_arrive(raw: Raw, server: DiscordServer) -> None:
    await identify(raw, server)
    ada = server.add_user("ada")
    server.say(server.direct_channel(ada), ada, "a direct message nobody asked for")
    guild = server.add_guild()
    assert (await raw.receive())["t"] == "GUILD_CREATE"
    server.say(server.add_channel(guild), ada, "hello")
    assert (await raw.receive())["t"] == "CHANNEL_CREATE"
    assert (await raw.receive())["d"]["content"] == ""


async def test_asking_for_voice_is_a_violation(raw: Raw, server: DiscordServer) -> None:
    await identify(raw, server)
    await raw.send(4, {"guild_id": "1", "channel_id": "2"})
    await server.wait_for(lambda: server.violations)
    assert server.violations == ["the bot asked for a voice connection"]
    server.violations.clear()


def test_unknown_compression_is_refused() -> None:
    with pytest.raises(ValueError, match="lz4"):
        encoder_for("lz4")


def test_plain_frames_stay_text() -> None:
    assert encoder_for(None).encode("{}") == "{}"
