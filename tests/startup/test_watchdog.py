"""A bot from which nothing gets out is not well after a minute, and ends after two."""

import asyncio
import logging
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.client.global_limit import GlobalLimit
from bot.client.http_trace import tracing
from bot.client.way_out import WayOut
from bot.startup.heartbeat import NAME
from bot.startup.watchdog import LOOK_SECONDS, Watchdog
from tests.cogs.desk import Clock


class Watched:
    """A watchdog, a clock that its pauses move on, and a list of what happens in them."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.way_out = WayOut(self.clock)
        self.is_connected = True
        self.events: dict[float, str] = {}
        self.sign = folder / NAME
        self.sign.touch()
        self.dog = Watchdog(self.way_out, lambda: self.is_connected, folder, pause=self.pause)
        self.well: list[float] = []
        self.started_at = self.clock.now

    @property
    def seconds(self) -> float:
        return self.clock.now - self.started_at

    async def pause(self, seconds: float) -> None:
        if self.dog.is_well():
            self.well.append(self.seconds)
        self.clock.now += seconds
        match self.events.pop(self.seconds, None):
            case "end":
                self.way_out.note_end()
            case "cut":
                self.is_connected = False
            case "connect":
                self.is_connected = True
            case "stop":
                raise asyncio.CancelledError


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def test_it_is_not_well_after_a_minute_and_ends_after_two(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    with watched.way_out.waiting(), caplog.at_level(logging.INFO):
        await watched.dog.run()
    assert watched.seconds == 120
    assert watched.well == [LOOK_SECONDS * number for number in range(12)]
    assert not watched.sign.exists()
    assert len(caplog.messages) == 1


async def test_a_request_that_ends_begins_the_time_again(watched: Watched) -> None:
    watched.events = {100.0: "end"}
    with watched.way_out.waiting():
        await watched.dog.run()
    assert watched.seconds == 220
    assert watched.well[12] == 100


@pytest.mark.parametrize("waits", [True, False])
async def test_it_rests_while_nothing_waits_or_the_connection_is_lost(
    watched: Watched, caplog: pytest.LogCaptureFixture, *, waits: bool
) -> None:
    if waits:
        watched.events = {50.0: "cut", 1000.0: "connect", 1055.0: "stop"}
        with watched.way_out.waiting(), pytest.raises(asyncio.CancelledError):
            await watched.dog.run()
    else:
        watched.events = {1000.0: "stop"}
        with pytest.raises(asyncio.CancelledError):
            await watched.dog.run()
    assert caplog.messages == []
    assert watched.sign.exists()


async def test_the_oldest_that_waits_counts() -> None:
    clock = Clock()
    way_out = WayOut(clock)
    assert way_out.stuck_seconds == 0
    with way_out.waiting():
        clock.now += 10
        with way_out.waiting():
            clock.now += 10
            assert (way_out.stuck_seconds, way_out.num_waiting) == (20, 2)
    assert (way_out.stuck_seconds, way_out.num_waiting) == (0, 0)


VIA = {"Via": "1.1 google"}


@pytest.mark.parametrize(
    ("path", "status", "headers", "stuck"),
    [
        ("/api/v10/channels/1/messages", 200, {}, 70),
        ("/api/v10/channels/1/messages", 500, {}, 70),
        ("/api/v10/channels/1/messages", 429, {**VIA, "Retry-After": "30"}, 40),
        ("/api/v10/channels/1/messages", 429, {**VIA, "Retry-After": "3600"}, 10),
        (
            "/api/v10/channels/1/messages",
            200,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "50.5"},
            19.5,
        ),
        ("/api/v10/interactions/1/token/callback", 204, {}, 100),
        ("/api/v10/webhooks/1/token", 200, {}, 100),
        ("/cut", 0, {}, 70),
    ],
)
async def test_requests_that_end_are_seen_but_those_of_commands(
    path: str, status: int, headers: dict[str, str], stuck: float
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/cut" and request.transport is not None:
            request.transport.abort()
        return web.json_response({}, status=status or 200, headers=headers)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clock = Clock()
    way_out = WayOut(clock)
    trace = way_out.watch(tracing(GlobalLimit(clock).look))
    with way_out.waiting():
        clock.now += 30
        async with aiohttp.ClientSession(trace_configs=[trace]) as session:
            try:
                await session.get(f"http://127.0.0.1:{runner.addresses[0][1]}{path}")
            except aiohttp.ClientError:
                assert path == "/cut"
        clock.now += 70
        assert way_out.stuck_seconds == stuck
    await runner.cleanup()
