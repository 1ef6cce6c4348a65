"""Utterances on their way, on both databases."""

import asyncio
from datetime import timedelta

from bot.delivery.ports import InboxEntry, Spot
from bot.dialogue.turn import Scope
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox, forget_rows
from tests.store.talk import GUILD, NOON, Clock, rows, said, talk


async def test_a_message_is_recorded_once(inbox: SqlInbox) -> None:
    assert await inbox.record(said(1))
    assert not await inbox.record(said(1))
    assert sorted(await asyncio.gather(*(inbox.record(said(2)) for _ in range(5)))) == [
        *[False] * 4,
        True,
    ]


async def test_an_unanswered_utterance_comes_back_whole(inbox: SqlInbox) -> None:
    whole = said(2**62, "hello", scope=Scope(2**61, 2**60), parent_channel_id=600, reply_to_id=41)
    direct = said(3, "psst", guild_id=None, scope=Scope(502))
    await inbox.record(whole)
    await inbox.record(direct)
    assert await inbox.unfinished() == [
        InboxEntry(direct, None, None, (), 1),
        InboxEntry(whole, None, None, (), 1),
    ]


async def test_every_look_counts_as_an_attempt(inbox: SqlInbox) -> None:
    await inbox.record(said(1))
    await inbox.unfinished()
    assert [entry.attempts for entry in await inbox.unfinished()] == [2]


async def test_a_look_while_the_bot_runs_counts_for_nothing(inbox: SqlInbox) -> None:
    await inbox.record(said(1))
    assert [entry.attempts for entry in await inbox.unfinished(is_start=False)] == [0]


async def test_what_has_to_wait_says_until_when_and_is_not_tried(
    inbox: SqlInbox, clock: Clock
) -> None:
    later = clock.now + timedelta(hours=1)
    await inbox.record(said(1))
    assert await inbox.postpone(1, later)
    assert not await inbox.postpone(2, later)
    (entry,) = await inbox.unfinished()
    assert (entry.not_before, entry.attempts) == (later, 0)
    clock.move(hours=1)
    (entry,) = await inbox.unfinished()
    assert entry.attempts == 1
    await inbox.close(1)
    assert not await inbox.postpone(1, later)


async def test_an_answer_comes_back_with_what_was_sent_of_it(
    inbox: SqlInbox, history: SqlHistory
) -> None:
    await inbox.record(said(1))
    exchange = await talk(history, said(1), "a long answer")
    await inbox.record_part(1, 1, 70)
    await inbox.record_part(1, 0, 71)
    await inbox.record_part(1, 0, 71)
    (entry,) = await inbox.unfinished()
    assert (entry.reply_text, entry.reply_turn_id) == ("a long answer", exchange.bot.turn_id)
    assert entry.sent_ids == (71, 70)


async def test_a_damaged_row_keeps_no_other_from_coming_back(
    database: Database, inbox: SqlInbox
) -> None:
    await inbox.record(said(1, "damaged"))
    await inbox.record(said(2, "sound"))
    damaged = tables.inbox.update().where(tables.inbox.c.message_id == 1).values(text=b"\xff\xfe")
    await database.execute(damaged)
    assert [entry.said.text for entry in await inbox.unfinished()] == ["", "sound"]


async def test_parts_of_a_reply_without_a_turn_are_known(inbox: SqlInbox) -> None:
    await inbox.record(said(1))
    await inbox.record_part(1, 0, 71)
    (entry,) = await inbox.unfinished()
    assert (entry.reply_text, entry.reply_turn_id, entry.sent_ids) == (None, None, (71,))


async def test_a_closed_message_keeps_its_id_and_loses_its_text(
    database: Database, inbox: SqlInbox, history: SqlHistory
) -> None:
    await inbox.record(said(1))
    await talk(history, said(1))
    await inbox.close(1)
    await inbox.close(12345)
    assert await inbox.unfinished() == []
    assert not await inbox.record(said(1))
    (row,) = await rows(database, tables.inbox)
    assert (row["state"], row["text"], row["reply_text"]) == ("done", b"", None)


async def test_a_reply_finds_its_turn_although_the_utterance_was_not_recorded(
    inbox: SqlInbox, history: SqlHistory
) -> None:
    exchange = await talk(history, said(1))
    await inbox.record_part(1, 0, 71)
    assert await history.turn_of_message(71) == exchange.bot
    assert await inbox.unfinished() == []


async def test_forgotten_rows_leave_a_mark_where_a_reply_or_a_look_back_may_come(
    database: Database, inbox: SqlInbox
) -> None:
    for number in (1, 2, 3, 4):
        at = NOON + timedelta(minutes=number)
        await inbox.record(said(number, "secret", scope=Scope(500 + number), created_at=at))
    await inbox.close(1)
    await inbox.close(2)
    forgotten, young = tables.inbox.c.message_id < 4, NOON + timedelta(minutes=1)
    assert await database.write(lambda one: forget_rows(one, forgotten, young)) == 3
    *marks, other = await rows(database, tables.inbox)
    assert [mark.pop("message_id") for mark in marks] == [2, 3]
    assert [mark.pop("created_at").minute for mark in marks] == [2, 3]
    assert {value for mark in marks for value in mark.values()} == {None, 0, b"", "done"}
    assert (other["message_id"], other["state"]) == (4, "pending")


async def test_a_marked_message_is_known_and_its_event_is_new_no_more(inbox: SqlInbox) -> None:
    await inbox.mark([said(1), said(2)])
    await inbox.record(said(3))
    assert await inbox.known([1, 2, 3, 4]) == {1, 2, 3}
    assert not await inbox.record(said(1))
    assert [entry.said for entry in await inbox.unfinished()] == [said(3)]


async def test_what_was_answered_without_a_row_is_known(
    inbox: SqlInbox, history: SqlHistory
) -> None:
    await talk(history, said(1))
    await inbox.record_part(2, 0, 72)
    assert await inbox.known([1, 2, 3]) == {1, 2}


async def test_places_are_known_by_what_was_said_there_lately(
    inbox: SqlInbox, history: SqlHistory
) -> None:
    await talk(history, said(1, scope=Scope(501)))
    for number, guild_id in ((2, None), (3, GUILD)):
        at = NOON + timedelta(minutes=number)
        row = said(number, scope=Scope(500 + number), created_at=at, guild_id=guild_id)
        await inbox.record(row)
    await inbox.mark([said(9, created_at=NOON + timedelta(minutes=9))])
    found = [Spot(503, GUILD), Spot(502, None), Spot(501, GUILD)]
    assert await inbox.spoken_in(9) == found
    assert await inbox.spoken_in(2) == found[:2]
