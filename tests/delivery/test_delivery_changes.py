"""Deleted, edited and erased while they wait or are answered; on a real database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.dialogue.turn import Scope, Utterance
from bot.engine.protocol import Completion, GenerationRequest
from bot.errors import EngineStuckError, StoreUnavailableError
from bot.store.database.database import Database
from tests.fakes import RecordingCourier, ScriptedEngine
from tests.rooms import CHANNEL, Rooms, answered, idle, said, settled


async def think_about(rooms: Rooms, *utterances: Utterance) -> None:
    """Take the utterances in; the engine has the first one, and does not answer yet."""
    rooms.engine.gate.clear()
    await rooms.delivery.start(rooms.courier)
    for one in utterances:
        rooms.delivery.accept(one)
    await rooms.engine.wait_until_asked(1)


async def test_a_deleted_question_gets_no_reply_and_leaves_no_words(database: Database) -> None:
    rooms = Rooms(database)
    await think_about(rooms, said("hello", 1))
    await rooms.delivery.withdraw([1])
    assert rooms.engine.num_forgotten == 1
    rooms.engine.gate.set()
    await settled(rooms)
    assert rooms.courier.tries == []
    assert (await rooms.history.head(CHANNEL)).turn_id is None


async def test_the_engine_forgets_what_is_deleted_while_the_memory_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def change(*_: object) -> bool:
        raise StoreUnavailableError

    rooms = Rooms(database)
    monkeypatch.setattr(rooms.history, "withdraw", change)
    monkeypatch.setattr(rooms.history, "revise", change)
    await rooms.delivery.withdraw([1])
    await rooms.delivery.revise(2, "other words")
    assert rooms.engine.num_forgotten == 2
    await rooms.delivery.stop(within_seconds=1)


async def test_the_engine_forgets_a_deleted_question_that_was_not_noted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_: object) -> bool:
        return False

    rooms = Rooms(database)
    monkeypatch.setattr(rooms.history, "withdraw", unknown)
    await think_about(rooms, said("hello", 1))
    await rooms.delivery.withdraw([1])
    assert rooms.engine.num_forgotten == 1
    rooms.engine.gate.set()
    await settled(rooms)


async def test_an_edit_while_the_bot_thinks_is_what_is_remembered(database: Database) -> None:
    rooms = Rooms(database)
    await think_about(rooms, said("I live in Soeul", 1))
    await rooms.delivery.revise(1, "I live in Seoul")
    rooms.engine.gate.set()
    await rooms.courier.wait_for(1)
    await settled(rooms)
    turn = await rooms.history.turn_of_message(1)
    assert turn is not None
    assert turn.text == "I live in Seoul"


async def test_an_edit_to_nothing_withdraws(database: Database) -> None:
    rooms = Rooms(database)
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("I live in Seoul", 1))
    await idle(rooms)
    await rooms.delivery.withdraw([4711])
    await rooms.delivery.revise(4711, "somebody else's")
    assert rooms.engine.num_forgotten == 0
    await rooms.delivery.revise(1, "")
    assert rooms.engine.num_forgotten == 1
    head = await rooms.history.head(CHANNEL)
    assert head.turn_id is not None
    assert await rooms.history.path(head.turn_id, 10) == []


async def test_what_waits_for_a_member_is_dropped_before_their_data_is_erased(
    database: Database,
) -> None:
    rooms = Rooms(database)
    await think_about(
        rooms,
        said("mine", 1, author_id=7),
        said("also mine", 2, author_id=7),
        said("theirs", 3, author_id=8),
    )
    await rooms.delivery.forget_member(7)
    assert rooms.engine.num_forgotten == 1
    rooms.engine.gate.set()
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert answered(rooms) == [3]


async def test_a_server_that_is_left_and_a_channel_that_goes_get_no_reply(
    database: Database,
) -> None:
    rooms = Rooms(database)
    rooms.engine.gate.clear()
    await rooms.delivery.start(rooms.courier)
    thread = said("in a thread", 2, scope=Scope(501), parent_channel_id=500)
    rooms.delivery.accept(said("in the channel", 1))
    rooms.delivery.accept(thread)
    rooms.delivery.accept(said("elsewhere", 3, scope=Scope(600)))
    await rooms.engine.wait_until_asked(3)
    await rooms.delivery.forget_channel(500)
    rooms.engine.gate.set()
    await settled(rooms)
    assert answered(rooms) == [3]
    again = rooms.restart()
    again.engine.gate.clear()
    await again.delivery.start(again.courier)
    again.delivery.accept(said("in the server", 4))
    await again.engine.wait_until_asked(1)
    await again.delivery.forget_server(1, [])
    again.engine.gate.set()
    await settled(again)
    assert answered(again) == [3]


async def test_words_that_were_replaced_before_the_engine_was_asked_never_reach_it(
    database: Database,
) -> None:
    class Slow(RecordingCourier):
        @asynccontextmanager
        async def typing(self, channel_id: int) -> AsyncIterator[None]:
            await rooms.delivery.revise(1, "now")
            yield

    rooms = Rooms(database, courier=Slow())
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("old", 1))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    [asked] = rooms.engine.asked
    assert asked.prompt_ids[:3] == tuple(b"now")
    assert asked.num_erasures == rooms.erasures.num == 1


async def test_after_a_hang_the_words_are_asked_for_as_they_are_now(database: Database) -> None:
    class StuckOnce(ScriptedEngine):
        async def generate(self, request: GenerationRequest) -> list[Completion]:
            if not self.asked:
                self.asked.append(request)
                await rooms.delivery.revise(1, "now")
                raise EngineStuckError
            return await super().generate(request)

    rooms = Rooms(database, engine=StuckOnce())
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("old", 1))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    asked = [(request.prompt_ids[:3], request.num_erasures) for request in rooms.engine.asked]
    assert asked == [(tuple(b"old"), 0), (tuple(b"now"), 1)]
