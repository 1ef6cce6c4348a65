"""What goes out to Discord, and how."""

import asyncio
from typing import Any

import discord
import pytest
from simcord.backend import serializers

from bot.client.global_limit import GlobalLimit
from bot.client.way_out import WayOut
from bot.delivery.ports import Part, SendRefusedError
from bot.errors import DeadlineError
from cogs._discord.courier import NOTICE_SECONDS, NUM_SEARCHED, DiscordCourier
from cogs._discord.outgoing import Outgoing
from tests.cogs.desk import POST, Desk, hold_sends


def crowd(desk: Desk, num_messages: int) -> None:
    """Let others write in the channel after Alice's question."""
    for number in range(num_messages):
        desk.env.backend.create_message(desk.channel.id, desk.alice.id, f"message {number}")


async def test_a_part_goes_out_as_a_reply_that_pings_nobody(desk: Desk) -> None:
    sent_id = await desk.courier.send(desk.part("hello @everyone <@1>"))
    (request,) = desk.requests("POST")
    assert request["nonce"] == f"r{desk.question.id}-0"
    assert request["enforce_nonce"] is True
    assert len(request["nonce"]) <= 25
    assert request["allowed_mentions"] == {"parse": []}  # an absent replied_user is false
    assert request["message_reference"]["message_id"] == desk.question.id
    assert request["message_reference"]["fail_if_not_exists"] is True
    stored = desk.env.backend.get_message(desk.channel.id, sent_id)
    assert not stored.mention_everyone
    assert not stored.ping_user_ids


async def test_the_longest_id_leaves_room_in_the_nonce() -> None:
    assert len(f"r{2**64 - 1}-99") <= 25


async def test_an_unknown_channel_is_written_to_by_its_id(desk: Desk) -> None:
    desk.ears._connection.clear()
    assert desk.ears.get_channel(desk.channel.id) is None
    sent_id = await desk.courier.send(desk.part())
    assert desk.env.backend.get_message(desk.channel.id, sent_id).content == "hello"


async def test_a_repeated_nonce_gets_the_new_text(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_id = await desk.courier.send(desk.part("the first try"))

    async def existing(channel_id: int, *, params: object) -> object:
        stored = desk.env.backend.get_message(channel_id, sent_id)
        return dict(serializers.message_payload(desk.env.backend, stored))

    monkeypatch.setattr(desk.ears.http, "send_message", existing)
    assert await desk.courier.send(desk.part("the second try")) == sent_id
    assert desk.env.backend.get_message(desk.channel.id, sent_id).content == "the second try"
    (edit,) = desk.requests("PATCH", f"/messages/{sent_id}")
    assert edit["allowed_mentions"]["parse"] == []
    assert await desk.courier.send(desk.part("the second  try ")) == sent_id
    assert len(desk.requests("PATCH", f"/messages/{sent_id}")) == 1


async def test_without_the_history_an_answer_goes_out_without_its_question(desk: Desk) -> None:
    desk.env.inject_error("POST", POST, status=400, code=160002)
    await desk.courier.send(desk.part())
    refused, sent = desk.requests("POST")
    assert "message_reference" in refused
    assert "message_reference" not in sent
    assert refused["nonce"] == sent["nonce"]
    assert desk.courier.may_write(desk.channel.id)


async def test_where_the_history_is_closed_no_reply_is_tried(desk: Desk) -> None:
    closed = desk.guild.create_text_channel(
        "closed",
        overwrites={desk.ears.me: discord.PermissionOverwrite(read_message_history=False)},
    )
    await desk.env.settle()
    await desk.courier.send(Part(closed.id, desk.question.id, 0, "hello", "r1-0"))
    (request,) = desk.requests("POST")
    assert "message_reference" not in request


async def test_what_we_already_answered_is_found_in_the_channel(desk: Desk) -> None:
    first = await desk.courier.send(desk.part("one", 0))
    await desk.alice.send(desk.channel, "wait", reply_to=desk.question)
    other = await desk.alice.send(desk.channel, f"<@{desk.ears.own_id}> again")
    await desk.courier.send(Part(desk.channel.id, other.id, 0, "other", "r2-0"))
    second = await desk.courier.send(desk.part("two", 1))
    assert await desk.courier.sent_parts(desk.said) == [first, second]


async def test_nothing_is_found_where_nothing_was_sent(desk: Desk) -> None:
    assert await desk.courier.sent_parts(desk.said) == []


async def test_an_answer_far_down_a_busy_channel_is_found(desk: Desk) -> None:
    crowd(desk, NUM_SEARCHED - 1)
    sent_id = await desk.courier.send(desk.part())
    assert await desk.courier.sent_parts(desk.said) == [sent_id]


async def test_an_answer_that_may_be_beyond_what_we_look_at_is_unknown(desk: Desk) -> None:
    crowd(desk, NUM_SEARCHED)
    with pytest.raises(SendRefusedError):
        await desk.courier.sent_parts(desk.said)


async def test_a_notice_is_no_part_of_the_answer(desk: Desk) -> None:
    await desk.courier.notify(desk.said, DeadlineError())
    sent_id = await desk.courier.send(desk.part())
    assert await desk.courier.sent_parts(desk.said) == [sent_id]


async def test_a_notice_of_an_earlier_run_is_known_by_its_nonce(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.courier.notify(desk.said, DeadlineError())
    logs_from = desk.ears.http.logs_from
    nonce = f"n{desk.question.id}"

    async def with_nonces(*args: Any, **options: Any) -> list[Any]:
        return [{**one, "nonce": nonce} for one in await logs_from(*args, **options)]

    monkeypatch.setattr(desk.ears.http, "logs_from", with_nonces)
    outgoing = Outgoing(GlobalLimit(), WayOut())
    later = DiscordCourier(desk.ears, desk.locales, outgoing)  # type: ignore[arg-type]  # all it asks
    assert await later.sent_parts(desk.said) == []


async def test_where_we_may_not_look_nothing_is_claimed(desk: Desk) -> None:
    desk.env.inject_error("GET", POST, status=403, code=50001)
    with pytest.raises(SendRefusedError):
        await desk.courier.sent_parts(desk.said)


@pytest.mark.parametrize(
    ("known", "words"),
    [("en-US", "took me too long"), ("de", "took me too long")],
)
async def test_an_error_is_told_in_the_members_language(desk: Desk, known: str, words: str) -> None:
    desk.locales.known[desk.alice.id] = known
    sent_id = await desk.courier.notify(desk.said, DeadlineError())
    assert words in desk.env.backend.get_message(desk.channel.id, sent_id).content
    (request,) = desk.requests("POST")
    assert request["nonce"] == f"n{desk.question.id}"


async def test_the_servers_language_stands_in_for_an_unknown_one(desk: Desk) -> None:
    assert await desk.courier._locale_of(desk.said) == "ko"
    desk.locales.is_away = True
    assert await desk.courier._locale_of(desk.said) == "ko"
    desk.locales.is_away = False
    desk.locales.known[desk.alice.id] = "fr"
    assert await desk.courier._locale_of(desk.said) == "fr"


async def test_a_whisper_goes_away_by_itself(desk: Desk) -> None:
    with desk.env._bot_scope():  # so that the simulated clock drives it
        await desk.courier.whisper(desk.said, DeadlineError())
    assert len(desk.channel.history()) == 2
    await desk.env.advance_time(NOTICE_SECONDS)
    assert [message.id for message in desk.channel.history()] == [desk.question.id]


async def test_a_whisper_that_cannot_be_sent_raises_nothing(desk: Desk) -> None:
    desk.env.inject_error("POST", POST, status=500)
    await desk.courier.whisper(desk.said, DeadlineError())
    assert len(desk.channel.history()) == 1


async def test_typing_is_shown_and_leaves_no_task(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()
    send_typing = desk.ears.http.send_typing

    async def watched(channel_id: int) -> None:
        await send_typing(channel_id)
        asked.set()

    monkeypatch.setattr(desk.ears.http, "send_typing", watched)
    before = asyncio.all_tasks()
    async with desk.courier.typing(desk.channel.id):
        await asked.wait()
    assert len(desk.requests("POST", "/typing")) == 1
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("status", [403, 429, 500])
async def test_refused_typing_is_not_tried_again(desk: Desk, status: int) -> None:
    desk.env.inject_error("POST", "/channels/*/typing", status=status, times=None)
    before = asyncio.all_tasks()
    async with desk.courier.typing(desk.channel.id):
        await asyncio.wait(asyncio.all_tasks() - before)
        await desk.courier.send(desk.part())
    assert len(desk.requests("POST", "/typing")) == 1


async def test_hanging_typing_delays_nothing_and_runs_to_its_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang(channel_id: int) -> None:
        asked.set()
        await released.wait()
        ended.set()

    monkeypatch.setattr(desk.ears.http, "send_typing", hang)
    async with desk.courier.typing(desk.channel.id):
        await asked.wait()
    assert not ended.is_set()
    released.set()
    await ended.wait()


async def test_a_cancelled_caller_leaves_its_message_on_its_way(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = hold_sends(desk, monkeypatch)
    sending = asyncio.create_task(desk.courier.send(desk.part()))
    await asked.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    released.set()
    await desk.env.settle()
    assert [one.content for one in desk.channel.history()][-1] == "hello"


async def test_a_notice_that_is_being_removed_goes_although_the_courier_is_closed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = asyncio.Event(), asyncio.Event()
    delete_message = desk.ears.http.delete_message

    async def hang(*args: Any, **options: Any) -> None:
        asked.set()
        await released.wait()
        await delete_message(*args, **options)

    monkeypatch.setattr(desk.ears.http, "delete_message", hang)
    monkeypatch.setattr("cogs._discord.courier.NOTICE_SECONDS", 0.0)  # the world's clock stands
    await desk.courier.whisper(desk.said, DeadlineError())
    await asked.wait()
    await desk.courier.close()
    released.set()
    await desk.env.settle()
    assert [one.id for one in desk.channel.history()] == [desk.question.id]
