"""What is left in the inbox is taken up while the bot runs, once; on a real database."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from bot.delivery.delivery import LOOK_SECONDS
from bot.delivery.outbox import PAUSES_SECONDS
from bot.delivery.ports import InboxEntry, SendTroubleError
from bot.errors import StoreUnavailableError
from bot.store.database.database import Database
from bot.store.inbox import SqlInbox
from tests.fakes import RecordingCourier
from tests.rooms import NOW, Rooms, answered, idle, said, settled

AWAY = [SendTroubleError("away")] * (len(PAUSES_SECONDS) + 1)
HALF_AN_HOUR = timedelta(minutes=30)


async def left(rooms: Rooms, *message_ids: int) -> None:
    """Messages are answered, and none of the replies can be sent for a quarter of an hour."""
    await rooms.delivery.start(rooms.courier)
    for message_id in message_ids:
        rooms.courier.failures = list(AWAY)
        rooms.delivery.accept(said("hello", message_id))
        await idle(rooms)


async def test_what_could_not_be_sent_goes_out_beside_a_connection_that_stays(
    database: Database,
) -> None:
    rooms = Rooms(database)
    await left(rooms, 1, 2)
    assert rooms.courier.sent == []
    await rooms.look()
    await settled(rooms)
    assert answered(rooms) == [1, 2]
    assert set(rooms.looks) == {LOOK_SECONDS}
    assert await rooms.inbox.unfinished() == []


async def test_it_is_looked_for_again_and_again(database: Database) -> None:
    """More often than a message is tried at starts: no look counts as one."""
    rooms = Rooms(database)
    await left(rooms, 1)
    for _ in range(30):
        rooms.courier.failures = list(AWAY)
        await rooms.look()
        await idle(rooms)
    await rooms.look()
    await settled(rooms)
    assert answered(rooms) == [1]


async def test_new_connections_count_for_nothing(database: Database) -> None:
    rooms = Rooms(database)
    await left(rooms, 1)
    for _ in range(30):
        rooms.courier.failures = list(AWAY)
        await rooms.delivery.start(rooms.courier)
        await idle(rooms)
    await rooms.delivery.start(rooms.courier)
    await settled(rooms)
    assert answered(rooms) == [1]


async def test_a_look_and_a_new_connection_at_once_take_a_row_up_once(database: Database) -> None:
    rooms = Rooms(database)
    await left(rooms, 1)
    await asyncio.gather(
        rooms.look(), rooms.delivery.start(rooms.courier), rooms.delivery.start(rooms.courier)
    )
    await settled(rooms)
    assert len(rooms.courier.tries) == len(AWAY) + 1


class WaitingInbox(SqlInbox):
    """Reads the rows, and hands them out only when `gate` is open."""

    def __init__(self, rooms: Rooms) -> None:
        super().__init__(rooms.database, clock=rooms.clock)
        self.gate = asyncio.Event()
        self.was_read = asyncio.Event()

    async def unfinished(self, *, is_start: bool = True) -> list[InboxEntry]:
        entries = await super().unfinished(is_start=is_start)
        self.was_read.set()
        await self.gate.wait()
        return entries


async def test_a_row_whose_reply_goes_out_while_it_is_read_is_not_taken_up(
    database: Database,
) -> None:
    rooms = Rooms(database)
    await left(rooms, 1)
    inbox = WaitingInbox(rooms)
    rooms.delivery._unfinished._inbox = inbox
    rooms.engine.gate.clear()
    rooms.delivery.accept(said("and this?", 2))
    await rooms.engine.wait_until_asked(2)
    looking = asyncio.create_task(rooms.look())
    await inbox.was_read.wait()
    rooms.engine.gate.set()
    await idle(rooms)
    assert answered(rooms) == [2]
    inbox.gate.set()
    await looking
    await settled(rooms)
    assert answered(rooms) == [2, 1]
    assert len(rooms.engine.asked) == 2
    assert await rooms.inbox.unfinished() == []


async def test_a_row_that_could_not_be_closed_is_closed_and_not_answered_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange could not be stored either: its row says that there is no reply yet."""

    async def away(*_: object) -> None:
        raise StoreUnavailableError

    rooms = Rooms(database)
    with monkeypatch.context() as patch:
        for store, method in (
            (rooms.history, "remember"),
            (rooms.inbox, "close"),
            (rooms.inbox, "record_part"),
        ):
            patch.setattr(store, method, away)
        await rooms.delivery.start(rooms.courier)
        rooms.delivery.accept(said("hello", 1))
        await idle(rooms)
    rooms.clock.now = NOW + timedelta(minutes=3)
    await rooms.look()
    await settled(rooms)
    assert len(rooms.courier.tries) == 1
    assert await rooms.inbox.unfinished() == []


async def test_what_an_unstored_reply_answered_is_not_answered_again_after_a_crash(
    database: Database,
) -> None:
    rooms = Rooms(database, catch_up=HALF_AN_HOUR)
    await rooms.inbox.record(said("hello", 1))
    await rooms.inbox.record(said("and this?", 2))
    rooms.courier.in_channel = {1: [4242]}
    rooms.clock.now = NOW + timedelta(minutes=10)
    await rooms.delivery.start(rooms.courier)
    await settled(rooms)
    assert answered(rooms) == [2]


async def test_where_the_channel_cannot_be_asked_yet_the_message_waits(database: Database) -> None:
    class Away(RecordingCourier):
        async def sent_parts(self, said: object) -> list[int]:
            if self.failures:
                raise self.failures.pop(0)
            return []

    rooms = Rooms(database, courier=Away(), catch_up=HALF_AN_HOUR)
    rooms.courier.failures = [SendTroubleError("away")]
    await rooms.inbox.record(said("hello", 1))
    rooms.clock.now = NOW + timedelta(minutes=10)
    await rooms.delivery.start(rooms.courier)
    await idle(rooms)
    assert rooms.engine.asked == []
    await rooms.look()
    await settled(rooms)
    assert answered(rooms) == [1]


async def test_a_message_that_comes_twice_while_the_bot_starts_is_answered(
    database: Database,
) -> None:
    """The event's own ticket finds the row of the run before, and leaves it alone."""

    class Slow(RecordingCourier):
        @asynccontextmanager
        async def typing(self, channel_id: int) -> AsyncIterator[None]:
            yield

    rooms = Rooms(database, courier=Slow())
    await rooms.inbox.record(said("hello", 1))
    rooms.delivery.accept(said("hello", 1))
    await rooms.delivery.start(rooms.courier)
    await idle(rooms)
    await rooms.look()
    await settled(rooms)
    assert answered(rooms) == [1]


@pytest.mark.parametrize(
    ("minutes", "is_answered"), [(3, True), (29.9, True), (30, False), (300, False)]
)
async def test_a_restart_answers_what_is_not_older_than_catch_up_minutes(
    database: Database, minutes: float, is_answered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = Rooms(database, catch_up=HALF_AN_HOUR)
    await rooms.inbox.record(said("very private words", 1))
    rooms.clock.now = NOW + timedelta(minutes=minutes)
    with caplog.at_level(logging.INFO):
        await rooms.delivery.start(rooms.courier)
        await settled(rooms)
    assert answered(rooms) == ([1] if is_answered else [])
    assert ("Message 1 is older than 30 minutes" in caplog.text) is not is_answered
    assert "private" not in caplog.text
    assert await rooms.inbox.unfinished() == []
