"""What goes wrong on demand, and what discord.py makes of it."""

import asyncio

import aiohttp
import discord
import pytest

from tests.discord_server import errors
from tests.discord_server.bare_client import BareClient
from tests.discord_server.conftest import text_channel
from tests.discord_server.faults import Cut, Fail, Hold, TooMany, When
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Channel

MESSAGES = "/channels/*/messages"


async def test_429_is_obeyed(server: DiscordServer, client: BareClient, general: Channel) -> None:
    fault = server.faults.add("POST", MESSAGES, TooMany(retry_after=0.05))
    sent = await text_channel(client, general).send("hi")
    first, second = server.requests_to("POST", MESSAGES)
    assert (first.status, second.status, fault.hits) == (429, 200, 1)
    assert second.at - first.at >= 0.05
    assert [one.id for one in server.replies(general)] == [sent.id]


async def test_global_429_holds_back_every_route(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    server.faults.add("POST", MESSAGES, TooMany(retry_after=0.05, scope="global"))
    channel = text_channel(client, general)
    sending = asyncio.create_task(channel.send("hi"))
    await server.wait_for(lambda: server.requests_to("POST", MESSAGES))
    limited = server.requests[-1]
    await server.wait_for(lambda: limited.status)
    await sending
    await channel.typing()
    assert server.requests_to("POST", "/channels/*/typing")[0].at - limited.at >= 0.05


async def test_429_without_via_is_taken_for_a_ban(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    server.faults.add("POST", MESSAGES, TooMany(via=False))
    with pytest.raises(discord.HTTPException) as caught:
        await text_channel(client, general).send("hi")
    assert caught.value.status == 429


async def test_enforced_bucket_is_never_overrun_by_discord_py(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    server.limits.set("POST", MESSAGES, limit=2, per_seconds=0.1)
    channel = text_channel(client, general)
    for number in range(5):
        await channel.send(f"{number}")
    assert [one.status for one in server.requests_to("POST", MESSAGES)] == [200] * 5
    assert [one.content for one in server.replies(general)] == list("01234")


async def test_whoever_ignores_a_bucket_gets_429(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    server.limits.set("GET", "/channels/*", limit=1, per_seconds=60)
    url = f"{server.api_url}/channels/{general.id}"
    headers = {"Authorization": f"Bot {server.token}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        answers = [await http.get(url) for _ in range(2)]
        assert [one.status for one in answers] == [200, 429]
        assert answers[0].headers["X-RateLimit-Remaining"] == "0"
        assert 59 < (await answers[1].json())["retry_after"] <= 60
        assert answers[1].headers["Content-Type"] == "application/json"
    server.limits.per_second = 0
    async with aiohttp.ClientSession(headers=headers) as http, http.get(url) as answer:
        assert answer.headers["X-RateLimit-Global"] == "true"
    assert len(server.invalid_requests()) == 2


async def test_message_whose_answer_is_lost_exists_and_its_nonce_finds_it(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    server.faults.add("POST", MESSAGES, Cut())
    channel = text_channel(client, general)
    with pytest.raises((aiohttp.ClientError, OSError)):
        await channel.send("hi", nonce="r1-0")
    (lost,) = server.replies(general)
    assert server.requests_to("POST", MESSAGES)[0].status == 0
    again = await channel.send("hi", nonce="r1-0")
    assert again.id == lost.id
    assert len(server.replies(general)) == 1


@pytest.mark.parametrize("reset", [True, False])
async def test_connection_cut_before_the_request_leaves_nothing(
    server: DiscordServer, client: BareClient, general: Channel, reset: bool
) -> None:
    server.faults.add("POST", MESSAGES, Cut(When.BEFORE, reset=reset))
    expected = ConnectionResetError if reset else aiohttp.ServerDisconnectedError
    with pytest.raises((expected, aiohttp.ClientOSError)):
        await text_channel(client, general).send("hi")
    assert server.replies(general) == []


async def test_held_request_goes_on_when_it_is_released(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    fault = server.faults.add("POST", MESSAGES, Hold())
    sending = asyncio.create_task(text_channel(client, general).send("hi"))
    await server.wait_for(lambda: fault.hits)
    assert server.replies(general) == []
    assert not sending.done()
    fault.release()
    assert (await sending).content == "hi"


async def test_held_answer_leaves_the_message_visible(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    fault = server.faults.add("POST", MESSAGES, Hold(When.AFTER))
    sending = asyncio.create_task(text_channel(client, general).send("hi"))
    await server.wait_replies(general)
    assert not sending.done()
    fault.release()
    await sending


@pytest.mark.parametrize(
    "refusal",
    [
        errors.AUTOMOD_BLOCKED,
        errors.HARMFUL_LINK,
        errors.NO_DMS_TO_USER,
        errors.NO_MUTUAL_GUILD,
        errors.REPLY_WITHOUT_HISTORY,
        errors.THREAD_ARCHIVED,
        errors.THREAD_LOCKED,
        errors.OVERLOADED,
        errors.UNAVAILABLE,
    ],
)
async def test_refusal_carries_its_status_and_code(
    server: DiscordServer, client: BareClient, general: Channel, refusal: errors.Refusal
) -> None:
    server.faults.add("POST", MESSAGES, refusal)
    with pytest.raises(discord.HTTPException) as caught:
        await text_channel(client, general).send("hi")
    assert (caught.value.status, caught.value.code) == (refusal.status, refusal.code)
    assert server.replies(general) == []
    await text_channel(client, general).send("once is over")


async def test_slowmode_is_a_429_with_a_code(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    server.faults.add("POST", MESSAGES, TooMany(retry_after=0.01, code=20016))
    await text_channel(client, general).send("hi")
    assert [one.status for one in server.requests_to("POST", MESSAGES)] == [429, 200]


async def test_error_after_the_effect_leaves_the_message(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    server.faults.add("POST", MESSAGES, Fail(errors.UNAVAILABLE, When.AFTER))
    with pytest.raises(discord.DiscordServerError):
        await text_channel(client, general).send("hi")
    assert len(server.replies(general)) == 1


async def test_unknown_route_is_a_violation(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    with pytest.raises(discord.NotFound):
        await client.fetch_sticker(1)
    assert server.violations == ["GET /stickers/1: no such route here"]
    server.violations.clear()


async def test_waiting_in_vain_says_what_for(server: DiscordServer, general: Channel) -> None:
    with pytest.raises(AssertionError, match="2 replies in general"):
        await server.wait_replies(general, 2, timeout=0.01)
