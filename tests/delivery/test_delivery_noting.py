"""A reply is begun while its message is being noted; on a real database."""

import asyncio

from bot.dialogue.turn import Utterance
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.inbox import SqlInbox
from tests.rooms import CHANNEL, Rooms, answered, said, settled
from tests.store.talk import count


class SlowInbox(SqlInbox):
    """Notes what comes only after `gate` was opened."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.gate = asyncio.Event()

    async def record(self, said: Utterance) -> bool:
        await self.gate.wait()
        return await super().record(said)


async def begin_to_answer(rooms: Rooms, num_asked: int) -> SlowInbox:
    """Let "hello" come, which is noted after the engine was asked so often."""
    inbox = SlowInbox(rooms.database)
    rooms.delivery._inbox = inbox
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.engine.wait_until_asked(num_asked)
    return inbox


async def answer_to_a_known_message(rooms: Rooms, num_asked: int) -> SlowInbox:
    """The same where another run has noted it already."""
    await rooms.inbox.record(said("hello", 1))
    rooms.delivery._lines.has_unfinished = False
    inbox = await begin_to_answer(rooms, num_asked)
    inbox.gate.set()
    await settled(rooms)
    return inbox


async def test_nothing_is_remembered_or_sent_before_the_message_is_noted(
    database: Database,
) -> None:
    rooms = Rooms(database)
    inbox = await begin_to_answer(rooms, num_asked=1)
    assert await count(database, tables.turn) == 0
    assert rooms.courier.sent == []
    inbox.gate.set()
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert answered(rooms) == [1]
    assert await inbox.unfinished() == []


async def test_a_reply_that_was_begun_to_a_known_message_is_dropped_without_a_trace(
    database: Database,
) -> None:
    """Another run has it: what that one still has to do for it stays in the inbox."""
    rooms = Rooms(database)
    inbox = await answer_to_a_known_message(rooms, num_asked=1)
    assert rooms.courier.tries == []
    assert (await rooms.history.head(CHANNEL)).turn_id is None
    (left,) = await inbox.unfinished()
    assert left.said.message_id == 1


async def test_a_known_message_gets_no_sentence_either(database: Database) -> None:
    rooms = Rooms(database)
    rooms.engine.script = lambda request: [""] * request.params.num_candidates
    await answer_to_a_known_message(rooms, num_asked=3)
    assert rooms.courier.tries == []
