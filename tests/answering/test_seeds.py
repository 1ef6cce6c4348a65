"""With a seed every reply has its own, and the same talk brings the same replies."""

import sqlite3
from contextlib import closing

from bot.dialogue.sampling import SamplingParams, seed_at
from bot.dialogue.turn import Scope
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from tests.answering.test_conversation import sent_as, talk
from tests.rooms import CHANNEL, Rooms, said


async def test_with_a_seed_each_reply_of_a_talk_has_its_own_and_a_talk_its_replies(
    database: Database,
) -> None:
    rooms = Rooms(database, params=SamplingParams(seed=1), num_turns=4)
    for scope in (Scope(1), Scope(2)):
        for number in range(30):  # more than a context holds
            await talk(rooms, said(f"line {number}", scope.channel_id * 100 + number, scope=scope))
    seeds = [request.params.seed for request in rooms.engine.asked]
    assert seeds[:30] == seeds[30:] == [seed_at(1, number) for number in range(30)]
    with closing(sqlite3.connect(str(database.address.path))) as connection:
        stored = connection.execute("SELECT seed FROM turn WHERE role = 'bot' ORDER BY id")
        assert [seed for (seed,) in stored] == seeds


async def test_a_branch_has_the_seed_of_its_place_and_a_reset_the_first(database: Database) -> None:
    rooms = Rooms(database, params=SamplingParams(seed=1))
    for number in range(1, 4):
        await talk(rooms, said(f"line {number}", number))
        await sent_as(rooms, said("", number), 1000 + number)
    await talk(rooms, said("another line", 4, reply_to_id=1001))
    await rooms.conversation.reset(CHANNEL)
    await talk(rooms, said("and another", 5))
    seeds = [request.params.seed for request in rooms.engine.asked]
    assert seeds == [seed_at(1, number) for number in (0, 1, 2, 1, 0)]


async def test_another_try_has_another_seed_than_any_reply_before(database: Database) -> None:
    rooms = Rooms(database, params=SamplingParams(seed=1))
    await talk(rooms, said("hello", 1))
    rooms.engine.script = lambda _: ["" if len(rooms.engine.asked) == 2 else "Well, well, well."]
    await talk(rooms, said("hello again", 2))
    seeds = [request.params.seed for request in rooms.engine.asked]
    assert seeds == [1, seed_at(1, 1), seed_at(2, 1)]


async def test_without_a_seed_no_turns_are_counted(database: Database) -> None:
    class Uncounted(SqlHistory):
        async def num_replies(self, turn_id: int) -> int:
            raise AssertionError(turn_id)

    rooms = Rooms(database)
    rooms.conversation._history = Uncounted(database, origin="discord")
    await talk(rooms, said("hello", 1))
    await talk(rooms, said("hello again", 2))
    assert [request.params.seed for request in rooms.engine.asked] == [None, None]
