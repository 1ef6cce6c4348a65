"""Respond and reset, on a real database."""

import itertools
import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from bot.dialogue.sampling import Layer, Place
from bot.dialogue.turn import Role, Scope, Turn, Utterance
from bot.engine.protocol import Cancellation, GenerationRequest
from bot.errors import WithdrawnError
from bot.store.database.database import Database
from tests.dialogue.byte_tokenizer import ByteTokenizer
from tests.rooms import CHANNEL, NOW, Rooms, said


def prompt_of(request: GenerationRequest) -> list[str]:
    """The turns of a prompt, as text."""
    turns: list[list[int]] = [[]]
    for token_id in request.prompt_ids:
        if token_id == ByteTokenizer().end_of_text_id:
            turns.append([])
        else:
            turns[-1].append(token_id)
    return [ByteTokenizer().decode(turn) for turn in turns[:-1]]


async def talk(rooms: Rooms, utterance: Utterance) -> str:
    await rooms.inbox.record(utterance)
    return (await rooms.conversation.respond(utterance, Cancellation())).text


async def sent_as(rooms: Rooms, utterance: Utterance, message_id: int) -> None:
    """Note that the reply to `utterance` went out as message `message_id`."""
    await rooms.inbox.record_part(utterance.message_id, 0, message_id)


async def test_the_next_prompt_holds_the_earlier_turns(database: Database) -> None:
    rooms = Rooms(database)
    first = await talk(rooms, said("I have a cat.", 1))
    await talk(rooms, said("What do I have?", 2))
    assert prompt_of(rooms.engine.asked[0]) == ["I have a cat."]
    assert prompt_of(rooms.engine.asked[1]) == ["I have a cat.", first, "What do I have?"]
    newest = (await rooms.history.head(CHANNEL)).turn_id
    assert newest is not None
    status = await rooms.history.status(CHANNEL)
    assert (status.num_turns, status.num_prompt_tokens) == (
        4,
        len(rooms.engine.asked[1].prompt_ids),
    )


async def test_two_channels_never_see_each_others_turns(database: Database) -> None:
    rooms = Rooms(database)
    await talk(rooms, said("the secret is blue", 1, scope=Scope(1)))
    await talk(rooms, said("what is the secret?", 2, scope=Scope(2)))
    assert prompt_of(rooms.engine.asked[1]) == ["what is the secret?"]


async def test_a_members_own_history_is_not_another_members(database: Database) -> None:
    rooms = Rooms(database)
    await talk(rooms, said("I am from Busan", 1, scope=Scope(1, user_id=7)))
    await talk(rooms, said("where am I from?", 2, scope=Scope(1, user_id=8), author_id=8))
    assert prompt_of(rooms.engine.asked[1]) == ["where am I from?"]


async def test_a_reset_forgets(database: Database) -> None:
    rooms = Rooms(database)
    await talk(rooms, said("I have a cat.", 1))
    await rooms.conversation.reset(CHANNEL)
    await talk(rooms, said("What do I have?", 2))
    assert prompt_of(rooms.engine.asked[1]) == ["What do I have?"]


async def test_replying_to_a_message_from_before_the_reset_starts_fresh(database: Database) -> None:
    rooms = Rooms(database)
    old = said("I have a cat.", 1)
    await talk(rooms, old)
    await sent_as(rooms, old, 100)
    await rooms.conversation.reset(CHANNEL)
    await talk(rooms, said("new things", 2))
    await talk(rooms, said("and that?", 3, reply_to_id=100))
    assert prompt_of(rooms.engine.asked[2]) == ["and that?"]


async def test_a_reply_to_an_older_bot_message_continues_there(database: Database) -> None:
    rooms = Rooms(database)
    first = said("one", 1)
    first_reply = await talk(rooms, first)
    await sent_as(rooms, first, 100)
    await talk(rooms, said("two", 2))
    await talk(rooms, said("back to that", 3, reply_to_id=100))
    assert prompt_of(rooms.engine.asked[2]) == ["one", first_reply, "back to that"]
    await talk(rooms, said("go on", 4))
    assert prompt_of(rooms.engine.asked[3])[:3] == ["one", first_reply, "back to that"]


async def test_a_reply_to_something_unknown_continues_at_the_head(database: Database) -> None:
    rooms = Rooms(database)
    reply = await talk(rooms, said("one", 1))
    await talk(rooms, said("two", 2, reply_to_id=12345))
    assert prompt_of(rooms.engine.asked[1]) == ["one", reply, "two"]


async def test_a_thread_made_from_a_reply_continues_its_path(database: Database) -> None:
    rooms = Rooms(database)
    first = said("one", 1)
    reply = await talk(rooms, first)
    await sent_as(rooms, first, 100)
    await talk(rooms, said("two", 2))
    in_thread = said("deeper", 3, scope=Scope(100), parent_channel_id=CHANNEL.channel_id)
    await talk(rooms, in_thread)
    assert prompt_of(rooms.engine.asked[2]) == ["one", reply, "deeper"]
    await talk(rooms, said("three", 4))
    assert "deeper" not in prompt_of(rooms.engine.asked[3])


async def test_a_thread_does_not_continue_what_its_channel_has_reset(database: Database) -> None:
    rooms = Rooms(database)
    first = said("one", 1)
    await talk(rooms, first)
    await sent_as(rooms, first, 100)
    await rooms.conversation.reset(CHANNEL)
    await talk(rooms, said("deeper", 3, scope=Scope(100), parent_channel_id=CHANNEL.channel_id))
    assert prompt_of(rooms.engine.asked[1]) == ["deeper"]


async def test_a_thread_never_continues_another_members_private_path(database: Database) -> None:
    rooms = Rooms(database)
    private = said("my secret", 1, scope=Scope(500, user_id=7))
    await talk(rooms, private)
    await sent_as(rooms, private, 100)
    other = said("tell me", 2, scope=Scope(100, user_id=8), parent_channel_id=500, author_id=8)
    await talk(rooms, other)
    assert prompt_of(rooms.engine.asked[1]) == ["tell me"]


async def test_a_long_silence_starts_a_new_conversation(database: Database) -> None:
    rooms = Rooms(database, idle=timedelta(minutes=60))
    await talk(rooms, said("one", 1))
    soon = NOW + timedelta(minutes=59)
    reply = await talk(rooms, said("two", 2, created_at=soon))
    assert prompt_of(rooms.engine.asked[1])[0] == "one"
    rooms.clock.now = soon
    late = NOW + timedelta(hours=3)
    assert reply
    await talk(rooms, said("three", 3, created_at=late))
    assert prompt_of(rooms.engine.asked[2]) == ["three"]


async def test_a_setting_of_the_channel_is_in_force_for_the_next_reply(database: Database) -> None:
    rooms = Rooms(database)
    place = Place(guild_id=1, channel_id=500, user_id=7)
    await rooms.sampling.save(Layer.CHANNEL, place, {"temperature": 0.5})
    await talk(rooms, said("hello", 1))
    assert rooms.engine.asked[0].params.temperature == 0.5
    effective = await rooms.restart().conversation.effective(place)
    assert effective.layers["temperature"] is Layer.CHANNEL


async def test_a_head_that_moved_within_its_epoch_is_answered_anew(database: Database) -> None:
    rooms = Rooms(database)
    await talk(rooms, said("first", 1))
    moved: list[int] = []

    def script(_request: GenerationRequest) -> list[str]:
        if not moved:
            moved.append(1)
            with sqlite3.connect(str(database.address.path)) as connection:
                connection.execute("UPDATE conversation SET head_turn_id = NULL")
            connection.close()
        return ["fine by me"]

    rooms.engine.script = script
    assert await talk(rooms, said("second", 2)) == "fine by me"
    assert prompt_of(rooms.engine.asked[-1]) == ["second"]


async def test_a_withdrawn_utterance_is_not_remembered(database: Database) -> None:
    rooms = Rooms(database)
    cancellation = Cancellation()

    def script(_request: GenerationRequest) -> Sequence[str]:
        cancellation.cancel()
        return ["too late"]

    rooms.engine.script = script
    with pytest.raises(WithdrawnError):
        await rooms.conversation.respond(said("hello", 1), cancellation)
    assert (await rooms.history.head(CHANNEL)).turn_id is None


async def test_the_bot_turn_says_where_its_prompt_began(database: Database) -> None:
    rooms = Rooms(database)
    await talk(rooms, said("one", 1))
    await talk(rooms, said("two", 2))
    head = await rooms.history.head(CHANNEL)
    assert head.turn_id is not None
    path = await rooms.history.path(head.turn_id, 10)
    assert [turn.role for turn in path] == [Role.USER, Role.BOT, Role.USER, Role.BOT]
    assert path[-1].context_start_id == path[0].turn_id == path[1].context_start_id


async def test_the_prompt_keeps_its_beginning_for_many_turns(database: Database) -> None:
    rooms = Rooms(database, num_turns=8, num_tokens=2000)
    for number in range(20):
        await talk(rooms, said(f"line {number}", number + 1))
    beginnings = [prompt_of(request)[0] for request in rooms.engine.asked]
    changes = sum(a != b for a, b in itertools.pairwise(beginnings))
    assert 0 < changes <= 10
    assert all(len(prompt_of(request)) <= 8 for request in rooms.engine.asked)


async def test_without_a_memory_the_bot_still_answers(database: Database, tmp_path: Path) -> None:
    rooms = Rooms(database)
    await database.close()
    reply = await rooms.conversation.respond(said("hello", 1), Cancellation())
    assert reply.turn_id is None
    assert reply.text


async def test_what_was_read_before_an_erasure_counts_as_older_than_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words came from the history, and the erasure before they went to the engine."""
    rooms = Rooms(database)
    await talk(rooms, said("I have a cat.", 1))
    turn_of_message = rooms.history.turn_of_message

    async def erased_meanwhile(message_id: int) -> Turn | None:
        if not rooms.erasures.num:
            rooms.erasures.note()
        return await turn_of_message(message_id)

    monkeypatch.setattr(rooms.history, "turn_of_message", erased_meanwhile)
    await talk(rooms, said("What do I have?", 2, reply_to_id=1))
    assert "I have a cat." in prompt_of(rooms.engine.asked[1])
    assert (rooms.engine.asked[1].num_erasures, rooms.engine.num_forgotten) == (0, 1)
