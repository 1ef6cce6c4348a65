"""Taking in, in order, and handing out, exactly once; on a real database."""

import asyncio
from collections.abc import Sequence

import pytest

from bot.delivery.ports import SendTroubleError
from bot.dialogue.turn import Scope
from bot.engine.protocol import Completion, GenerationRequest
from bot.errors import AdmissionError, EngineBrokenError, NoFitReplyError, OwnFaultError
from bot.store.database.database import Database
from tests.fakes import ScriptedEngine
from tests.rooms import CHANNEL, Rooms, answered, said, settled


class BrokenEngine(ScriptedEngine):
    """An engine whose device has failed for good."""

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        raise EngineBrokenError


async def test_twenty_quick_messages_are_answered_in_order(database: Database) -> None:
    rooms = Rooms(database)
    await rooms.delivery.start(rooms.courier)
    for number in range(20):
        rooms.delivery.accept(said(f"message {number}", number + 1))
    await rooms.courier.wait_for(20)
    await settled(rooms)
    assert answered(rooms) == list(range(1, 21))
    assert rooms.delivery.num_pending == 0


async def test_the_same_event_three_times_gives_one_reply(database: Database) -> None:
    rooms = Rooms(database)
    await rooms.delivery.start(rooms.courier)
    utterance = said("hello", 1)
    rooms.delivery.accept(utterance)
    rooms.delivery.accept(utterance)
    await rooms.courier.wait_for(1)
    await settled(rooms)
    rooms.delivery.accept(utterance)
    assert rooms.delivery.num_pending == 0
    assert answered(rooms) == [1]


async def test_an_event_that_a_former_run_answered_gives_no_reply(database: Database) -> None:
    rooms = Rooms(database)
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    later = rooms.restart()
    await later.delivery.start(later.courier)
    later.delivery.accept(said("hello", 1))
    later.delivery.accept(said("and now?", 2))
    await later.courier.wait_for(2)
    await settled(later)
    assert answered(later) == [1, 2]


async def test_two_scopes_are_answered_at_once(database: Database) -> None:
    rooms = Rooms(database)
    rooms.engine.gate.clear()
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("a", 1, scope=Scope(1)))
    rooms.delivery.accept(said("b", 2, scope=Scope(2)))
    await rooms.engine.wait_until_asked(2)
    rooms.engine.gate.set()
    await rooms.courier.wait_for(2)
    await settled(rooms)


async def test_a_stop_finishes_what_runs_and_hands_back_the_rest(database: Database) -> None:
    rooms = Rooms(database)
    rooms.engine.gate.clear()
    await rooms.delivery.start(rooms.courier)
    for number in (1, 2, 3):
        rooms.delivery.accept(said(f"message {number}", number))
    await rooms.engine.wait_until_asked(1)
    stopping = asyncio.create_task(rooms.delivery.stop(within_seconds=30))
    await asyncio.sleep(0)
    rooms.delivery.accept(said("message 4", 4))
    rooms.engine.gate.set()
    await stopping
    assert answered(rooms) == [1]
    later = rooms.restart()
    await later.delivery.start(later.courier)
    await later.courier.wait_for(4)
    await settled(later)
    assert answered(later) == [1, 2, 3, 4]


async def test_a_stop_hands_back_what_does_not_finish_in_time(database: Database) -> None:
    rooms = Rooms(database)
    rooms.engine.gate.clear()
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.engine.wait_until_asked(1)
    await rooms.delivery.stop(within_seconds=0)
    assert rooms.courier.sent == []
    assert [entry.said.message_id for entry in await rooms.inbox.unfinished()] == [1]


async def test_no_fit_reply_is_one_sentence_that_is_not_remembered(database: Database) -> None:
    rooms = Rooms(database)
    rooms.engine.script = lambda _: [""]
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert [part.text for part in rooms.courier.sent] == [str(NoFitReplyError())]
    assert (await rooms.history.head(CHANNEL)).turn_id is None
    assert await rooms.inbox.unfinished() == []


async def test_a_sentence_is_also_tried_again_after_a_connection_error(database: Database) -> None:
    rooms = Rooms(database)
    rooms.engine.script = lambda _: [""]
    rooms.courier.failures = [SendTroubleError("reset")]
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert [part.nonce for part in rooms.courier.sent] == ["r1-0"]


async def test_a_broken_engine_is_told_and_its_messages_are_handed_back(
    database: Database,
) -> None:
    rooms = Rooms(database, engine=BrokenEngine())
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.delivery.broken.wait()
    await settled(rooms)
    assert rooms.courier.sent == []
    assert [entry.said.message_id for entry in await rooms.inbox.unfinished()] == [1]


async def test_an_unforeseen_error_does_not_hold_up_the_scope(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = Rooms(database)

    def script(request: GenerationRequest) -> Sequence[str]:
        if len(rooms.engine.asked) == 1:
            raise RuntimeError("a bug")
        return ["Nice to hear from you."]

    rooms.engine.script = script
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("very private words", 1))
    rooms.delivery.accept(said("hello", 2))
    await rooms.courier.wait_for(2)
    await settled(rooms)
    assert answered(rooms) == [1, 2]
    assert rooms.courier.sent[0].text == str(OwnFaultError())
    assert "Message 1 could not be answered" in caplog.text
    assert "private" not in caplog.text


async def test_a_member_cannot_fill_the_queue(database: Database) -> None:
    rooms = Rooms(database, max_pending=2)
    rooms.engine.gate.clear()
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("a", 1))
    rooms.delivery.accept(said("b", 2))
    with pytest.raises(AdmissionError, match="your earlier messages"):
        rooms.delivery.accept(said("c", 3))
    rooms.engine.gate.set()
    await settled(rooms)


async def test_without_a_database_each_event_is_answered_once(database: Database) -> None:
    rooms = Rooms(database)
    await database.close()
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    rooms.delivery.accept(said("hello", 1))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    rooms.delivery.accept(said("hello", 1))
    assert answered(rooms) == [1]


async def test_what_comes_before_discord_is_ready_waits_for_it(database: Database) -> None:
    rooms = Rooms(database)
    rooms.delivery.accept(said("early", 1))
    assert rooms.engine.asked == []
    await rooms.delivery.start(rooms.courier)
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert answered(rooms) == [1]


async def test_what_a_former_run_left_comes_before_what_came_while_this_one_started(
    database: Database,
) -> None:
    rooms = Rooms(database)
    await rooms.inbox.record(said("older", 1))
    rooms.delivery.accept(said("newer", 2))
    await rooms.delivery.start(rooms.courier)
    await rooms.courier.wait_for(2)
    await settled(rooms)
    assert answered(rooms) == [1, 2]
    assert len(rooms.engine.asked) == 2
