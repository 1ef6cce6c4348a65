"""What becomes of a part that Discord does not take."""

import aiohttp
import discord
import pytest

from bot.delivery.ports import MessageGoneError, SendError, SendRefusedError, SendTroubleError
from cogs._discord.courier import BACKOFF_SECONDS
from tests.cogs.desk import POST, Desk


@pytest.mark.parametrize(
    ("status", "code", "text", "raised", "is_closed"),
    [
        (404, 10003, "Unknown Channel", MessageGoneError, False),
        (404, 10008, "Unknown Message", MessageGoneError, False),
        (403, 50013, "Missing Permissions", SendRefusedError, True),
        (403, 50001, "Missing Access", SendRefusedError, True),
        (403, 50007, "Cannot send messages to this user", SendRefusedError, True),
        (403, 160005, "This thread is locked", SendRefusedError, True),
        (400, 160005, "This thread is locked", SendRefusedError, True),
        (400, 50083, "Thread is archived", SendRefusedError, True),
        (429, 20016, "Slowmode", SendRefusedError, True),
        (400, 200000, "Blocked by AutoMod", SendRefusedError, False),
        (403, 200000, "Blocked by AutoMod", SendRefusedError, False),
        (400, 240000, "Harmful link", SendRefusedError, False),
        (400, 50035, "Invalid Form Body", SendRefusedError, False),
        (401, 0, "Unauthorized", SendRefusedError, False),
        (429, 0, "Too many requests", SendTroubleError, False),
        (429, 20028, "Write rate limit", SendTroubleError, False),
        (500, 0, "Internal Server Error", SendTroubleError, False),
        (503, 130000, "Overloaded", SendTroubleError, False),
    ],
)
async def test_every_refusal_means_one_thing(
    desk: Desk, status: int, code: int, text: str, raised: type[SendError], is_closed: bool
) -> None:
    desk.env.inject_error("POST", POST, status=status, code=code, message=text)
    with pytest.raises(raised):
        await desk.courier.send(desk.part())
    assert desk.courier.may_write(desk.channel.id) is not is_closed
    assert len(desk.requests("POST")) == 1


async def test_a_deleted_question_is_gone(desk: Desk) -> None:
    errors = {
        "message_reference": {
            "_errors": [{"code": "REPLIES_UNKNOWN_MESSAGE", "message": "Unknown message"}]
        }
    }
    refusal = {"code": 50035, "message": "Invalid Form Body", "errors": errors}

    async def refused() -> None:
        raise discord.HTTPException(_Response(400), refusal)

    with pytest.raises(MessageGoneError):
        await desk.courier._translated(desk.channel.id, refused())


class _Response:
    reason = "Bad Request"

    def __init__(self, status: int) -> None:
        self.status = status


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionResetError(104, "Connection reset by peer"),
        aiohttp.ServerDisconnectedError(),
        TimeoutError(),
        discord.RateLimited(3600.0),
    ],
)
async def test_a_broken_connection_may_be_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(desk.ears.http, "request", broken)
    with pytest.raises(SendTroubleError) as caught:
        await desk.courier.send(desk.part())
    assert str(caught.value)
    assert desk.courier.may_write(desk.channel.id)


async def test_a_refusing_channel_is_left_alone_for_a_while(desk: Desk) -> None:
    desk.env.inject_error("POST", POST, status=403, code=50013, times=None)
    for _ in range(1000):
        with pytest.raises(SendRefusedError):
            await desk.courier.send(desk.part())
    assert len(desk.requests("POST")) == 1
    desk.clock.now += BACKOFF_SECONDS - 1
    assert not desk.courier.may_write(desk.channel.id)
    desk.clock.now += 1
    assert desk.courier.may_write(desk.channel.id)
    with pytest.raises(SendRefusedError):
        await desk.courier.send(desk.part())
    assert len(desk.requests("POST")) == 2


async def test_other_channels_are_not_left_alone(desk: Desk) -> None:
    desk.env.inject_error("POST", POST, status=403, code=50013)
    with pytest.raises(SendRefusedError):
        await desk.courier.send(desk.part())
    assert desk.courier.may_write(desk.channel.id + 1)


async def test_a_closed_connection_hands_the_reply_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closed(*_: object, **__: object) -> None:
        raise RuntimeError("Session is closed")

    monkeypatch.setattr(desk.ears.http, "request", closed)
    with pytest.raises(RuntimeError):
        await desk.courier.send(desk.part())
    monkeypatch.setattr(desk.ears, "is_closed", lambda: True)
    with pytest.raises(SendTroubleError):
        await desk.courier.send(desk.part())
