"""A reply is made anew where its ground goes: after a reset, an erasure or an edit."""

import sqlite3
from collections.abc import Awaitable, Callable

from bot.dialogue.turn import Utterance
from bot.engine.protocol import Cancellation, Completion, GenerationRequest
from bot.store.database.database import Database
from tests.answering.test_conversation import prompt_of, talk
from tests.fakes import ScriptedEngine
from tests.rooms import CHANNEL, Rooms, answered, said, settled

Change = Callable[[], Awaitable[object]]


class Overtaken(ScriptedEngine):
    """While it makes a reply, the next of `changes` happens; `texts` are what it says, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Change] = []
        self.texts: list[str] = []

    async def generate(self, request: GenerationRequest) -> list[Completion]:
        if self.changes:
            await self.changes.pop(0)()
        if self.texts:
            text = self.texts.pop(0)
            self.script = lambda _: [text]
        return await super().generate(request)


class Place:
    """A conversation in which somebody has said that they have a cat."""

    def __init__(self, rooms: Rooms, engine: Overtaken) -> None:
        self.rooms = rooms
        self.engine = engine

    def prompts(self) -> list[list[str]]:
        """What the engine was asked since."""
        return [prompt_of(request) for request in self.engine.asked[1:]]

    async def reset(self) -> None:
        await self.rooms.conversation.reset(CHANNEL)

    async def delete_the_cat(self) -> None:
        await self.rooms.delivery.withdraw([1])

    async def answer(self, utterance: Utterance) -> str:
        return await talk(self.rooms, utterance)


async def with_a_cat(database: Database) -> Place:
    engine = Overtaken()
    rooms = Rooms(database, engine=engine)
    await talk(rooms, said("I have a cat.", 1))
    return Place(rooms, engine)


async def test_what_a_reset_overtook_is_answered_anew_from_nothing(database: Database) -> None:
    place = await with_a_cat(database)
    place.engine.changes = [place.reset]
    place.engine.texts = ["About your cat?", "Good morning."]
    assert await place.answer(said("hello", 2)) == "Good morning."
    assert place.prompts()[1:] == [["hello"]]
    head = await place.rooms.history.head(CHANNEL)
    assert (head.epoch, head.turn_id is not None) == (1, True)
    assert await place.answer(said("and now?", 3))
    assert place.prompts()[-1] == ["hello", "Good morning.", "and now?"]


async def test_a_message_is_answered_however_often_its_scope_is_reset(database: Database) -> None:
    place = await with_a_cat(database)
    place.engine.changes = [place.reset] * 20
    assert await place.answer(said("hello", 2))
    assert place.prompts()[1:] == [["hello"]]  # what came from nothing holds in each epoch
    turn = await place.rooms.history.turn_of_message(2)
    assert turn is not None
    assert turn.epoch == (await place.rooms.history.head(CHANNEL)).epoch == 2


async def test_a_message_is_answered_however_often_its_head_moves(database: Database) -> None:
    place = await with_a_cat(database)

    async def move() -> None:
        with sqlite3.connect(str(database.address.path)) as connection:
            connection.execute(
                "UPDATE conversation SET head_turn_id = CASE head_turn_id WHEN 1 THEN 2 ELSE 1 END"
            )
        connection.close()

    place.engine.changes = [move] * 20
    assert await place.answer(said("hello", 2))
    assert len(place.prompts()) == 3
    assert place.prompts()[2] == ["hello"]


async def test_a_reset_takes_no_reply_from_those_who_wait(database: Database) -> None:
    rooms = Rooms(database)
    rooms.engine.gate.clear()
    await rooms.delivery.start(rooms.courier)
    for number in range(1, 6):
        rooms.delivery.accept(said(f"message {number}", number, author_id=number))
    await rooms.engine.wait_until_asked(1)
    await rooms.conversation.reset(CHANNEL)
    rooms.engine.gate.set()
    await settled(rooms)
    assert answered(rooms) == [1, 2, 3, 4, 5]
    assert len(rooms.engine.asked) == 5
    assert (await rooms.history.head(CHANNEL)).epoch == 1
    assert await rooms.inbox.unfinished() == []


async def test_what_is_erased_while_its_reply_waits_for_an_epoch_gets_none(
    database: Database,
) -> None:
    rooms = Rooms(database)
    rooms.engine.gate.clear()
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("hello", 1))
    await rooms.engine.wait_until_asked(1)
    await rooms.conversation.reset(CHANNEL)
    await rooms.delivery.withdraw([1])
    rooms.engine.gate.set()
    await settled(rooms)
    assert rooms.courier.tries == []


async def test_further_tries_are_not_drawn_from_erased_words(database: Database) -> None:
    place = await with_a_cat(database)
    place.engine.changes = [place.delete_the_cat]
    place.engine.texts = ["", "Good morning."]  # the first is unfit
    assert await place.answer(said("hello", 2)) == "Good morning."
    assert place.prompts()[0][0] == "I have a cat."
    assert place.prompts()[1:] == [["hello"]]
    assert [one.num_erasures for one in place.engine.asked] == [0, 0, 1]


async def test_a_reply_that_was_made_of_erased_words_is_not_kept(database: Database) -> None:
    place = await with_a_cat(database)
    place.engine.changes = [place.delete_the_cat]
    place.engine.texts = ["About your cat?", "Good morning."]
    assert await place.answer(said("hello", 2)) == "Good morning."
    head = await place.rooms.history.head(CHANNEL)
    assert head.turn_id is not None
    path = await place.rooms.history.path(head.turn_id, 10)
    assert [turn.text for turn in path] == ["hello", "Good morning."]


async def test_an_erasure_that_is_not_counted_yet_is_seen_where_a_reply_is_stored(
    database: Database,
) -> None:
    place = await with_a_cat(database)
    place.engine.changes = [lambda: place.rooms.history.withdraw([1])]
    place.engine.texts = ["About your cat?", "Good morning."]
    assert await place.answer(said("hello", 2)) == "Good morning."


async def test_words_that_were_replaced_are_asked_for_as_they_are_now(database: Database) -> None:
    place = await with_a_cat(database)
    place.engine.changes = [lambda: place.rooms.delivery.revise(1, "I have a dog.")]
    await place.answer(said("hello", 2))
    assert [prompt[0] for prompt in place.prompts()] == ["I have a cat.", "I have a dog."]


async def test_an_erasure_elsewhere_costs_no_reply(database: Database) -> None:
    place = await with_a_cat(database)

    async def elsewhere() -> None:
        place.rooms.erasures.note()

    place.engine.changes = [elsewhere] * 20
    place.engine.texts = ["", "Good morning."]
    assert await place.answer(said("hello", 2)) == "Good morning."
    assert len(place.prompts()) == 2


async def test_words_that_change_all_the_time_are_left_out_in_the_end(database: Database) -> None:
    place = await with_a_cat(database)
    numbers = iter(range(100))

    async def edit() -> None:
        await place.rooms.delivery.revise(1, f"I have {next(numbers)} cats.")

    place.engine.changes = [edit] * 20
    assert await place.answer(said("hello", 2))
    assert len(place.prompts()) == 3
    assert place.prompts()[2] == ["hello"]


async def test_an_edited_question_is_answered_as_it_reads_now(database: Database) -> None:
    engine = Overtaken()
    rooms = Rooms(database, engine=engine)
    engine.changes = [lambda: rooms.delivery.revise(1, "I live in Seoul")]
    engine.texts = ["Where is Soeul?", "How nice."]
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("I live in Soeul", 1))
    await rooms.courier.wait_for(1)
    await settled(rooms)
    assert [prompt_of(one) for one in engine.asked] == [["I live in Soeul"], ["I live in Seoul"]]
    assert [part.text for part in rooms.courier.sent] == ["How nice."]


async def test_without_a_memory_nothing_is_made_again(database: Database) -> None:
    engine = Overtaken()
    rooms = Rooms(database, engine=engine)
    await database.close()

    async def elsewhere() -> None:
        rooms.erasures.note()

    engine.changes = [elsewhere] * 20
    reply = await rooms.conversation.respond(said("hello", 1), Cancellation())
    assert (reply.turn_id, len(engine.asked)) == (None, 1)
