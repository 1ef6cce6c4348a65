"""A channel that Discord wants left alone for a while gets no request of any kind."""

import asyncio
from collections.abc import Callable
from typing import Any

import discord
import pytest

from bot.delivery.ports import SendTroubleError
from bot.errors import DeadlineError
from cogs._discord.courier import NOTICE_SECONDS
from tests.cogs.desk import POST, Desk, hold_sends

HOUR = 3600.0


@pytest.fixture
def limit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the next request to paths with an ending meet a limit of an hour, as discord.py says."""
    request = desk.ears.http.request

    def limit_next(ending: str) -> None:
        endings = [ending]

        async def limited(route: Any, **options: Any) -> Any:
            if endings and route.path.endswith(endings[0]):
                endings.clear()
                raise discord.RateLimited(HOUR)
            return await request(route, **options)

        monkeypatch.setattr(desk.ears.http, "request", limited)

    return limit_next


def num_requests(desk: Desk) -> int:
    """How many requests there were to channels; the login made others."""
    return sum(one.path.startswith("/channels") for one in desk.env.http_requests)


async def refuse(desk: Desk, limit: Callable[[str], None]) -> None:
    limit("/messages")
    with pytest.raises(SendTroubleError) as caught:
        await desk.courier.send(desk.part())
    assert caught.value.wait_seconds == HOUR


async def test_no_message_no_notice_and_no_look_until_it_is_over(
    desk: Desk, limit: Callable[[str], None]
) -> None:
    await refuse(desk, limit)
    desk.clock.now += HOUR - 1
    with pytest.raises(SendTroubleError) as caught:
        await desk.courier.send(desk.part())
    assert caught.value.wait_seconds == 1.0
    with pytest.raises(SendTroubleError):
        await desk.courier.sent_parts(desk.said)
    assert await desk.courier.say(desk.said, DeadlineError()) is None
    assert num_requests(desk) == 0
    assert desk.courier.may_write(desk.channel.id)  # what comes is taken in, and answered later
    desk.clock.now += 1
    await desk.courier.send(desk.part())
    assert len(desk.requests("POST")) == 1


async def test_no_typing_until_it_is_over(
    desk: Desk, limit: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogs._discord.courier.TYPING_AFTER_SECONDS", 0.0)
    await refuse(desk, limit)
    before = asyncio.all_tasks()
    async with desk.courier.typing(desk.channel.id):
        await asyncio.wait(asyncio.all_tasks() - before)
    assert num_requests(desk) == 0


async def test_a_limit_of_typing_is_none_of_messages(
    desk: Desk, limit: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogs._discord.courier.TYPING_AFTER_SECONDS", 0.0)
    limit("/typing")
    for _ in range(2):
        before = asyncio.all_tasks()
        async with desk.courier.typing(desk.channel.id):
            await asyncio.wait(asyncio.all_tasks() - before)
            await desk.courier.send(desk.part())
    assert desk.requests("POST", "/typing") == []
    assert len(desk.requests("POST")) == 2


async def test_a_notice_is_removed_when_it_is_over(
    desk: Desk, limit: Callable[[str], None]
) -> None:
    with desk.env._bot_scope():  # so that the simulated clock drives it
        await desk.courier.whisper(desk.said, DeadlineError())
    await refuse(desk, limit)
    await desk.env.advance_time(NOTICE_SECONDS)
    assert len(desk.channel.history()) == 2
    desk.clock.now += HOUR
    await desk.env.advance_time(HOUR)
    assert [message.id for message in desk.channel.history()] == [desk.question.id]


async def test_another_channel_is_written_to(desk: Desk, limit: Callable[[str], None]) -> None:
    await refuse(desk, limit)
    other = desk.guild.create_text_channel("other")
    assert not desk.courier._rest_seconds(other.id)


async def test_what_an_earlier_run_was_told_holds(desk: Desk) -> None:
    desk.courier.rest(desk.channel.id, HOUR)
    desk.courier.rest(desk.channel.id, 10.0)  # a shorter rest changes nothing
    desk.courier.rest(desk.channel.id + 1, 1e300)
    with pytest.raises(SendTroubleError) as caught:
        await desk.courier.send(desk.part())
    assert caught.value.wait_seconds == HOUR
    assert desk.courier._rest_seconds(desk.channel.id + 1) == 86_400
    assert num_requests(desk) == 0


async def test_a_refusal_counts_although_its_caller_was_cancelled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = hold_sends(desk, monkeypatch)
    desk.env.inject_error("POST", POST, status=403, code=50013)
    sending = asyncio.create_task(desk.courier.send(desk.part()))
    await asked.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    released.set()
    await desk.env.settle()
    assert not desk.courier.may_write(desk.channel.id)
