"""Sending: over connection errors, refusals and failed apologies; on a real database."""

from datetime import timedelta

import pytest

from bot.delivery.outbox import PAUSES_SECONDS
from bot.delivery.ports import MessageGoneError, SendRefusedError, SendTroubleError
from bot.engine.protocol import GenerationRequest
from bot.store.database.database import Database
from tests.fakes import Script
from tests.rooms import NOW, Rooms, answered, idle, said, settled


async def test_a_connection_error_is_tried_again_with_the_same_nonce(database: Database) -> None:
    rooms = Rooms(database)
    rooms.courier.failures = [SendTroubleError("reset"), SendTroubleError("503")]
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert {part.nonce for part in rooms.courier.tries} == {"r1-0"}
    assert len(rooms.courier.tries) == 3
    assert rooms.pauses == list(PAUSES_SECONDS[:2])


async def test_what_could_not_be_sent_goes_out_at_the_next_connection(database: Database) -> None:
    rooms = Rooms(database)
    rooms.courier.failures = [SendTroubleError("away")] * (len(PAUSES_SECONDS) + 1)
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await idle(rooms)
    assert rooms.courier.sent == []
    await rooms.delivery.start(rooms.courier)
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert answered(rooms) == [1]
    assert await rooms.inbox.unfinished() == []


async def test_once_the_nonces_are_forgotten_a_reply_is_not_sent_again_blindly(
    database: Database,
) -> None:
    rooms = Rooms(database)
    rooms.courier.failures = [SendTroubleError("the answer was lost on the way")]
    rooms.courier.in_channel = {1: [4242]}

    async def pause(_seconds: float) -> None:
        rooms.clock.now = NOW + timedelta(minutes=5)

    rooms.pause = pause
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await idle(rooms)
    await settled(rooms)
    assert len(rooms.courier.tries) == 1
    assert await rooms.inbox.unfinished() == []


async def test_an_apology_that_fails_does_not_silence_the_scope(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = Rooms(database)
    rooms.engine.script = _raise_once()
    rooms.courier.bugs = [RuntimeError("a bug in the apology")]
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await idle(rooms)
    rooms.delivery.accept(said("still there?", 2))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert answered(rooms) == [2]
    assert "no apology either" in caplog.text


def _raise_once() -> Script:
    calls: list[int] = []

    def script(_request: GenerationRequest) -> list[str]:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a bug")
        return ["Nice to hear from you."]

    return script


async def test_what_could_not_be_sent_goes_out_after_the_next_start(database: Database) -> None:
    rooms = Rooms(database)
    rooms.courier.failures = [SendTroubleError("away")] * (len(PAUSES_SECONDS) + 1)
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await idle(rooms)
    assert rooms.courier.sent == []
    later = rooms.restart()
    await later.delivery.start(later.courier)
    await settled(later)
    assert answered(later) == [1]
    assert await later.inbox.unfinished() == []


@pytest.mark.parametrize("refusal", [MessageGoneError("gone"), SendRefusedError("no")])
async def test_what_discord_refuses_is_not_tried_again(
    database: Database, refusal: Exception
) -> None:
    rooms = Rooms(database)
    assert isinstance(refusal, MessageGoneError | SendRefusedError)
    rooms.courier.failures = [refusal]
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await idle(rooms)
    assert len(rooms.courier.tries) == 1
    assert await rooms.inbox.unfinished() == []


async def test_a_long_reply_goes_out_in_parts_that_each_have_a_nonce(database: Database) -> None:
    rooms = Rooms(database)
    long_text = " ".join(f"word{number}" for number in range(600))
    rooms.engine.script = lambda _: [long_text]
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("tell me everything", 1))
    await rooms.courier.wait_for(3)
    await settled(rooms)
    assert [part.nonce for part in rooms.courier.sent] == ["r1-0", "r1-1", "r1-2"]
    turn = await rooms.history.turn_of_message(900_003)
    assert turn is not None
    assert turn.text == long_text


async def test_a_reply_that_waits_for_discord_is_dropped_when_its_question_is_withdrawn(
    database: Database,
) -> None:
    rooms = Rooms(database)
    rooms.courier.failures = [SendTroubleError("away")]

    async def pause(_seconds: float) -> None:
        await rooms.delivery.forget_member(7)

    rooms.pause = pause
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await idle(rooms)
    assert rooms.courier.sent == []
    assert await rooms.inbox.unfinished() == []
