"""What deleting and editing messages does to the tree, on both databases."""

import pytest

from bot.answering.ports import Rejected
from bot.errors import ScopeMovedError
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from tests.store.talk import count, rows, said, talk, texts


async def test_deleting_a_question_blanks_it_and_its_answer(
    database: Database, history: SqlHistory
) -> None:
    await talk(history, said(1, "one"), "eins")
    await talk(history, said(2, "two"), "zwei", rejected=(Rejected("due", {}),))
    last = await talk(history, said(3, "three"), "drei")
    await history.withdraw([2, 12345])
    path = await history.path(last.bot.turn_id, 9)
    assert texts(path) == ["one", "eins", "three", "drei"]
    assert await count(database, tables.turn) == 6
    assert await count(database, tables.candidate) == 0
    blank = await history.turn_of_message(2)
    assert blank is not None
    assert blank.text == ""


async def test_many_messages_are_withdrawn_at_once(history: SqlHistory) -> None:
    for number in range(1, 5):
        last = await talk(history, said(number, str(number)))
    await history.withdraw([1, 2, 3])
    await history.withdraw([])
    assert texts(await history.path(last.bot.turn_id, 9)) == ["4", "hi"]


async def test_deleting_an_answer_keeps_the_question(history: SqlHistory, inbox: SqlInbox) -> None:
    await inbox.record(said(1))
    exchange = await talk(history, said(1, "question"), "answer")
    await inbox.record_part(1, 0, 71)
    await history.withdraw([71])
    assert texts(await history.path(exchange.bot.turn_id, 9)) == ["hello"]
    assert await inbox.unfinished() == []


async def test_a_reply_to_a_withdrawn_message_is_not_stored(
    history: SqlHistory, inbox: SqlInbox
) -> None:
    await inbox.record(said(1))
    await history.withdraw([1])
    with pytest.raises(ScopeMovedError):
        await talk(history, said(1))


async def test_a_message_is_answered_once(history: SqlHistory, inbox: SqlInbox) -> None:
    await inbox.record(said(1))
    await talk(history, said(1))
    with pytest.raises(ScopeMovedError):
        await talk(history, said(1))


async def test_an_edit_reaches_the_turn(database: Database, history: SqlHistory) -> None:
    exchange = await talk(history, said(1, "helo"), "hi")
    await history.revise(1, "hello")
    await history.revise(12345, "nobody said that")
    assert texts(await history.path(exchange.bot.turn_id, 9)) == ["hello", "hi"]
    assert (await rows(database, tables.turn))[0]["num_tokens"] is None


async def test_an_edit_while_the_bot_thinks_is_remembered(
    history: SqlHistory, inbox: SqlInbox
) -> None:
    await inbox.record(said(1, "helo"))
    await history.revise(1, "hello")
    exchange = await talk(history, said(1, "helo"))
    assert exchange.user.text == "hello"


async def test_an_edit_to_nothing_withdraws(history: SqlHistory) -> None:
    exchange = await talk(history, said(1))
    await history.revise(1, "")
    assert await history.path(exchange.bot.turn_id, 9) == []


async def test_an_edit_does_not_bring_a_withdrawn_turn_back(history: SqlHistory) -> None:
    exchange = await talk(history, said(1))
    await history.withdraw([1])
    await history.revise(1, "again")
    assert await history.path(exchange.bot.turn_id, 9) == []
