"""Discord says when it wants to be asked again; on a real database."""

from datetime import timedelta

import pytest

from bot.delivery.ports import SendTroubleError
from bot.dialogue.turn import Scope
from bot.engine.protocol import GenerationRequest
from bot.errors import OwnFaultError
from bot.store.database.database import Database
from tests.rooms import NOW, Rooms, answered, idle, said, settled

HOUR = 3600.0
OTHER = Scope(600)


def later(seconds: float) -> SendTroubleError:
    return SendTroubleError("later", wait_seconds=seconds)


async def refused_for_an_hour(rooms: Rooms) -> None:
    """A message is answered, and Discord takes nothing in its channel for an hour."""
    rooms.courier.failures = [later(HOUR)]
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await idle(rooms)


async def test_what_discord_wants_kept_back_for_long_is_left_to_the_inbox(
    database: Database,
) -> None:
    rooms = Rooms(database)
    await refused_for_an_hour(rooms)
    assert (len(rooms.courier.tries), rooms.pauses) == (1, [])
    (entry,) = await rooms.inbox.unfinished()
    assert entry.not_before == NOW + timedelta(hours=1)
    assert entry.reply_text is not None


async def test_it_goes_out_at_the_first_look_after_its_time(database: Database) -> None:
    rooms = Rooms(database)
    await refused_for_an_hour(rooms)
    rooms.clock.now = NOW + timedelta(minutes=59)
    await rooms.look()
    assert (rooms.delivery.num_pending, len(rooms.courier.tries)) == (0, 1)
    rooms.clock.now = NOW + timedelta(hours=1)
    await rooms.look()
    await settled(rooms)
    assert answered(rooms) == [1]
    assert len(rooms.engine.asked) == 1
    assert await rooms.inbox.unfinished() == []


async def test_a_restart_does_not_ask_before_its_time(database: Database) -> None:
    first = Rooms(database)
    await refused_for_an_hour(first)
    await settled(first)
    first.clock.now = NOW + timedelta(minutes=20)
    rooms = first.restart()
    await rooms.delivery.start(rooms.courier)
    await rooms.look()
    await idle(rooms)
    assert len(rooms.courier.tries) == 1
    assert rooms.courier.rests == {500: 2400.0}
    rooms.clock.now = NOW + timedelta(hours=2)
    await rooms.look()
    await settled(rooms)
    assert answered(rooms) == [1]


async def test_restarts_while_it_waits_are_no_attempts(database: Database) -> None:
    rooms = Rooms(database)
    await refused_for_an_hour(rooms)
    for _ in range(30):
        await rooms.inbox.unfinished()
    rooms.clock.now = NOW + timedelta(hours=1)
    await rooms.look()
    await settled(rooms)
    assert answered(rooms) == [1]


@pytest.mark.parametrize("seconds", [45.0, 60.0])
async def test_a_short_wait_holds_the_place_and_is_as_long_as_discord_says(
    database: Database, seconds: float
) -> None:
    rooms = Rooms(database)
    rooms.courier.failures = [later(seconds), later(0.1)]
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert rooms.pauses == [seconds, 1.0]


async def test_without_a_database_the_place_is_held_for_as_long_as_it_takes(
    database: Database,
) -> None:
    rooms = Rooms(database)
    await database.close()
    rooms.courier.failures = [later(HOUR)]
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert rooms.pauses == [HOUR]


async def test_what_was_withdrawn_is_not_waited_for(database: Database) -> None:
    rooms = Rooms(database)
    await refused_for_an_hour(rooms)
    await rooms.delivery.withdraw([1])
    rooms.clock.now = NOW + timedelta(hours=1)
    await rooms.look()
    await settled(rooms)
    assert len(rooms.courier.tries) == 1


async def test_a_scope_keeps_its_order_and_others_are_not_held(database: Database) -> None:
    rooms = Rooms(database)
    rooms.courier.failures = [later(2 * HOUR), later(HOUR), later(HOUR)]
    await rooms.delivery.start(rooms.courier)
    for utterance in (said("a", 1), said("b", 2), said("c", 3, scope=OTHER)):
        rooms.delivery.accept(utterance)
        await idle(rooms)
    rooms.clock.now = NOW + timedelta(hours=1)
    await rooms.look()
    await idle(rooms)
    assert answered(rooms) == [3]
    rooms.clock.now = NOW + timedelta(hours=2)
    await rooms.look()
    await settled(rooms)
    assert answered(rooms) == [3, 1, 2]


async def test_an_apology_that_is_kept_back_is_not_lost(database: Database) -> None:
    rooms = Rooms(database)

    def bug(_request: GenerationRequest) -> list[str]:
        raise RuntimeError("a bug")

    rooms.engine.script = bug
    await refused_for_an_hour(rooms)
    rooms.clock.now = NOW + timedelta(minutes=61)
    await rooms.look()
    await settled(rooms)
    assert [part.text for part in rooms.courier.sent] == [str(OwnFaultError())]
    assert await rooms.inbox.unfinished() == []


async def test_a_sentence_that_was_kept_back_is_not_too_old_afterwards(database: Database) -> None:
    """Its row has no reply: the message is answered again when its time comes."""
    rooms = Rooms(database)
    rooms.engine.script = lambda request: [""] * request.params.num_candidates
    await refused_for_an_hour(rooms)
    rooms.engine.script = lambda _: ["Nice to hear from you."]
    rooms.clock.now = NOW + timedelta(minutes=61)
    await rooms.look()
    await settled(rooms)
    assert [part.text for part in rooms.courier.sent] == ["Nice to hear from you."]
