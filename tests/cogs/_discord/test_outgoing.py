"""What waits to be sent, and when typing gives way to it."""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
import discord
import pytest
from aiohttp import web

from bot.client.global_limit import GlobalLimit
from bot.client.http_trace import tracing
from bot.client.way_out import WayOut
from cogs._discord.outgoing import ANSWER_SECONDS, CALM_SECONDS, Outgoing
from tests.cogs.desk import Clock

GLOBAL = {"Via": "1.1 google", "X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"}
OF_A_ROUTE = {"Via": "1.1 google", "X-RateLimit-Scope": "user"}
OF_THE_PROXY: dict[str, str] = {}


@dataclass(frozen=True)
class Response:
    """The part of an interaction's response that is asked."""

    is_answered: bool

    def is_done(self) -> bool:
        return self.is_answered


@dataclass(eq=False)
class Asked:
    """The part of an interaction that is asked."""

    response: Response


def interaction(*, is_answered: bool) -> discord.Interaction[Any]:
    return cast("discord.Interaction[Any]", Asked(Response(is_answered)))


async def test_typing_gives_way_to_what_waits() -> None:
    outgoing = Outgoing(GlobalLimit(), WayOut())
    assert outgoing.may_type
    with outgoing.waiting(), outgoing.waiting():
        assert not outgoing.may_type
    assert outgoing.may_type


async def test_typing_gives_way_to_an_interaction_until_it_is_acknowledged_or_over() -> None:
    clock = Clock()
    outgoing = Outgoing(GlobalLimit(), WayOut(), clock)
    outgoing.expect(interaction(is_answered=True))
    assert outgoing.may_type
    outgoing.expect(interaction(is_answered=False))
    clock.now += ANSWER_SECONDS - 0.01
    assert not outgoing.may_type
    clock.now += 0.01
    assert outgoing.may_type


async def test_interactions_that_are_over_are_not_kept() -> None:
    clock = Clock()
    outgoing = Outgoing(GlobalLimit(), WayOut(), clock)
    for _ in range(3):
        outgoing.expect(interaction(is_answered=False))
        clock.now += ANSWER_SECONDS
    assert len(outgoing._interactions) == 1


async def test_a_request_runs_to_its_end_although_its_caller_is_cancelled() -> None:
    outgoing = Outgoing(GlobalLimit(), WayOut())
    begun, released, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def request() -> None:
        begun.set()
        await released.wait()
        ended.set()

    caller = asyncio.create_task(outgoing.run(request()))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    released.set()
    await ended.wait()


async def limit_after(status: int, headers: dict[str, str], clock: Clock) -> GlobalLimit:
    """What is known after an answer with this status and these headers."""
    limit = GlobalLimit(clock)

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, status=status, headers=headers)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(trace_configs=[tracing(limit.look)]) as session:
        await session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    await runner.cleanup()
    return limit


@pytest.mark.parametrize(
    ("status", "headers", "is_noted"),
    [
        (429, GLOBAL, True),
        (429, OF_THE_PROXY, True),
        (429, OF_A_ROUTE, False),
        (200, OF_THE_PROXY, False),
    ],
)
async def test_a_global_limit_keeps_typing_away_for_a_minute(
    status: int, headers: dict[str, str], *, is_noted: bool
) -> None:
    clock = Clock()
    limit = await limit_after(status, headers, clock)
    outgoing = Outgoing(limit, WayOut(), clock)
    clock.now += CALM_SECONDS - 0.01
    assert outgoing.may_type is not is_noted
    clock.now += 0.01
    assert outgoing.may_type


async def test_while_discord_wants_no_request_what_can_wait_is_not_asked() -> None:
    clock = Clock()
    asked: list[int] = []

    async def ask() -> None:
        asked.append(1)

    outgoing = Outgoing(await limit_after(429, {"Retry-After": "90"}, clock), WayOut(), clock)
    with pytest.raises(discord.RateLimited):
        await outgoing.ask(ask())
    assert asked == []
    clock.now += 90
    await outgoing.ask(ask())
    assert asked == [1]
