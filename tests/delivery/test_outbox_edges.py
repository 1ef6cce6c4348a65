"""Both sides of the edges at which a reply is sent again, looked for, or given up."""

from datetime import timedelta

import pytest

from bot.delivery.ports import SendTroubleError
from bot.dialogue.reply import split
from bot.store.database import tables
from bot.store.database.database import Database
from tests.rooms import NOW, Rooms, answered, idle, said, settled
from tests.store.talk import draft, rows

LONG = " ".join(f"word{number:04}" for number in range(600))  # three parts


@pytest.mark.parametrize(("seconds", "recent"), [(0, True), (119.999, True), (120, False)])
async def test_discord_remembers_a_nonce_for_two_minutes(
    database: Database, seconds: float, recent: bool
) -> None:
    rooms = Rooms(database)
    rooms.clock.now = NOW + timedelta(seconds=seconds)
    await rooms.inbox.record(said("hello", 1))
    rooms.courier.in_channel = {}
    await rooms.delivery.start(rooms.courier)
    await settled(rooms)
    assert answered(rooms) == ([1] if recent else [])  # too late for a reply that is not made yet
    assert await rooms.inbox.unfinished() == []


@pytest.mark.parametrize(("seconds", "looked"), [(119.999, False), (120, True)])
async def test_a_stored_reply_is_looked_for_where_its_nonce_is_forgotten(
    database: Database, seconds: float, looked: bool
) -> None:
    rooms = Rooms(database)
    await answered_but_unsent(rooms)
    rooms.clock.now = NOW + timedelta(seconds=seconds)
    rooms.courier.in_channel = {1: [4241, 4242, 4243]}
    await rooms.delivery.start(rooms.courier)
    await settled(rooms)
    assert len(rooms.courier.sent) == (0 if looked else 3)


async def answered_but_unsent(rooms: Rooms, num_noted: int = 0) -> None:
    """A reply of three parts is stored, and so many of them are noted as sent."""
    utterance = said("tell me everything", 1)
    await rooms.inbox.record(utterance)
    head = await rooms.history.head(utterance.scope)
    await rooms.history.remember(draft(utterance, LONG), head)
    for part in range(num_noted):
        await rooms.inbox.record_part(1, part, 4241 + part)


@pytest.mark.parametrize(
    ("num_noted", "num_there", "sent"),
    [
        (0, 0, [0, 1, 2]),
        (1, 1, [1, 2]),
        (2, 0, [2]),  # a member with rights deleted what was there: it is not sent again
        (2, 1, [2]),
        (1, 2, [2]),  # one went out before a crash, and was not noted
        (0, 3, []),
        (3, 0, []),
    ],
)
async def test_what_is_noted_or_stands_in_the_channel_is_not_sent_again(
    database: Database, num_noted: int, num_there: int, sent: list[int]
) -> None:
    assert len(split(LONG)) == 3
    rooms = Rooms(database)
    await answered_but_unsent(rooms, num_noted)
    rooms.clock.now = NOW + timedelta(minutes=3)
    rooms.courier.in_channel = {1: [4241 + number for number in range(num_there)]}
    await rooms.delivery.start(rooms.courier)
    await settled(rooms)
    assert [part.number for part in rooms.courier.sent] == sent
    assert [part.nonce for part in rooms.courier.sent] == [f"r1-{number}" for number in sent]
    noted = await rows(database, tables.reply_message)
    assert sorted(row["part"] for row in noted) == [0, 1, 2]
    assert await rooms.inbox.unfinished() == []


async def test_a_reply_is_tried_for_a_quarter_of_an_hour(database: Database) -> None:
    rooms = Rooms(database)
    rooms.courier.failures = [SendTroubleError("away")] * 100
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await idle(rooms)
    assert rooms.pauses[:7] == [0.5, 1, 2, 4, 8, 16, 30]
    assert set(rooms.pauses[6:]) == {30}
    assert (len(rooms.pauses), sum(rooms.pauses)) == (35, 901.5)
    assert len(rooms.courier.tries) == 36
    assert len(await rooms.inbox.unfinished()) == 1


@pytest.mark.parametrize("num_failures", [35, 36])
async def test_the_last_try_counts(database: Database, num_failures: int) -> None:
    rooms = Rooms(database)
    rooms.courier.failures = [SendTroubleError("away")] * num_failures
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await idle(rooms)
    assert len(rooms.courier.sent) == (1 if num_failures == 35 else 0)
    assert len(await rooms.inbox.unfinished()) == (0 if num_failures == 35 else 1)


@pytest.mark.parametrize(("num_starts", "is_tried"), [(20, True), (21, False)])
async def test_a_message_is_tried_at_twenty_starts(
    database: Database, num_starts: int, is_tried: bool
) -> None:
    rooms = Rooms(database)
    await rooms.inbox.record(said("poison", 1))
    for _ in range(num_starts - 1):
        await rooms.inbox.unfinished()
    await rooms.delivery.start(rooms.courier)
    await settled(rooms)
    assert answered(rooms) == ([1] if is_tried else [])
    assert await rooms.inbox.unfinished() == []


@pytest.mark.parametrize(("length", "parts"), [(2000, [2000]), (2001, [2000, 1]), (1, [1])])
def test_a_message_holds_two_thousand_characters(length: int, parts: list[int]) -> None:
    assert [len(part) for part in split("x" * length)] == parts
