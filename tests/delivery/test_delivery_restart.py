"""What a crash or a stop left unfinished is made good by the next start; on a real database."""

import logging
from datetime import timedelta

import pytest

from bot.delivery.ports import Part
from bot.delivery.unfinished import NUM_ATTEMPTS
from bot.dialogue.turn import Utterance
from bot.engine.protocol import Cancellation
from bot.store.database.database import Database
from bot.store.inbox import SqlInbox
from tests.rooms import NOW, Rooms, answered, said, settled


async def interrupted(rooms: Rooms, utterance: Utterance) -> None:
    """Leave a reply stored and none of it sent, as a crash does."""
    await rooms.inbox.record(utterance)
    await rooms.conversation.respond(utterance, Cancellation())


async def test_a_crash_before_the_send_is_made_good_with_the_same_nonce(
    database: Database,
) -> None:
    rooms = Rooms(database)
    await interrupted(rooms, said("hello", 1))
    later = rooms.restart()
    await later.delivery.start(later.courier)
    await settled(later)
    assert [part.nonce for part in later.courier.sent] == ["r1-0"]
    assert later.engine.asked == []


async def test_an_old_reply_is_not_sent_when_the_channel_has_it(database: Database) -> None:
    rooms = Rooms(database)
    await interrupted(rooms, said("hello", 1))
    rooms.clock.now = NOW + timedelta(minutes=10)
    later = rooms.restart()
    later.courier.in_channel = {1: [4242]}
    await later.delivery.start(later.courier)
    await settled(later)
    assert later.courier.tries == []
    turn = await later.history.turn_of_message(4242)
    assert turn is not None
    assert await later.inbox.unfinished() == []


async def test_an_old_reply_is_sent_when_the_channel_does_not_have_it(database: Database) -> None:
    rooms = Rooms(database)
    await interrupted(rooms, said("hello", 1))
    rooms.clock.now = NOW + timedelta(minutes=10)
    later = rooms.restart()
    await later.delivery.start(later.courier)
    await settled(later)
    assert answered(later) == [1]


async def test_only_the_missing_parts_go_out_after_a_crash(database: Database) -> None:
    rooms = Rooms(database)
    rooms.engine.script = lambda _: [" ".join(["word"] + [f"w{n}" for n in range(700)])]
    await interrupted(rooms, said("hello", 1))
    await rooms.inbox.record_part(1, 0, 4242)
    later = rooms.restart()
    await later.delivery.start(later.courier)
    await settled(later)
    assert [part.number for part in later.courier.sent] == [1]


async def test_a_young_unanswered_message_is_answered_after_a_restart(database: Database) -> None:
    rooms = Rooms(database)
    await rooms.inbox.record(said("hello", 1))
    rooms.clock.now = NOW + timedelta(seconds=90)
    later = rooms.restart()
    await later.delivery.start(later.courier)
    await later.courier.wait_for(1)
    await settled(later)
    assert answered(later) == [1]


async def test_an_old_unanswered_message_is_closed_after_a_restart(database: Database) -> None:
    rooms = Rooms(database)
    await rooms.inbox.record(said("hello", 1))
    rooms.clock.now = NOW + timedelta(minutes=3)
    later = rooms.restart()
    await later.delivery.start(later.courier)
    await settled(later)
    assert later.courier.tries == []
    assert await later.inbox.unfinished() == []


async def test_a_message_that_ends_the_bot_each_time_is_given_up(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rooms = Rooms(database)
    await rooms.inbox.record(said("poison", 1))
    for _ in range(NUM_ATTEMPTS):
        assert len(await rooms.inbox.unfinished()) == 1
    later = rooms.restart()
    await later.delivery.start(later.courier)
    await settled(later)
    assert later.engine.asked == []
    assert await later.inbox.unfinished() == []
    assert "Message 1 is given up" in caplog.text


async def test_a_reply_found_after_a_crash_takes_the_place_of_a_sentence(
    database: Database,
) -> None:
    rooms = Rooms(database)
    await rooms.inbox.record(said("hello", 1))
    part = Part(channel_id=500, reply_to_id=1, number=0, text="I am at a loss.", nonce="r1-0")
    await rooms.courier.send(part)
    later = rooms.restart()
    await later.delivery.start(later.courier)
    await settled(later)
    assert {one.nonce for one in later.courier.tries} == {"r1-0"}
    assert answered(later) == [1]


async def test_a_row_that_cannot_be_read_does_not_silence_the_bot(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = Rooms(database)
    await rooms.inbox.record(said("hello", 1))

    class Unreadable(SqlInbox):
        async def close(self, message_id: int) -> None:
            raise ValueError("a row from another world")

    later = Rooms(database, courier=rooms.courier, clock=rooms.clock)
    later.clock.now = NOW + timedelta(minutes=10)
    later.delivery._unfinished._inbox = Unreadable(database)
    await later.delivery.start(later.courier)
    later.delivery.accept(said("are you there?", 2, created_at=later.clock.now))
    await later.courier.wait_for(1)
    assert "Message 1 is left unanswered" in caplog.text
