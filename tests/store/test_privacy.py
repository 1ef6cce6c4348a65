"""Export and erasure, on both databases; what is left on the disk is in test_disk.py."""

import json
from datetime import timedelta

import pytest

from bot.answering.ports import Head, Rejected
from bot.dialogue.sampling import Layer, Place
from bot.dialogue.turn import Scope
from bot.errors import ScopeMovedError
from bot.ports import Erased
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.privacy import SqlPrivacy
from bot.store.sampling import SqlSampling
from bot.store.servers import SqlServers
from tests.store.talk import (
    ANNA,
    BEN,
    CHANNEL,
    GUILD,
    NOON,
    Clock,
    count,
    draft,
    rows,
    said,
    sure_retention,
    talk,
    texts,
)

DIRECT = Scope(700)


@pytest.fixture
def privacy(database: Database, clock: Clock) -> SqlPrivacy:
    return SqlPrivacy(database, clock=clock)


async def settle(database: Database, user_id: int) -> None:
    """Overrides and a language of a member."""
    place = Place(900, 500, user_id)
    await SqlSampling(database).save(Layer.MEMBER, place, {"temperature": 0.5, "top_k": 3})
    await SqlServers(database).save_locale(user_id, "ko")


async def test_an_export_holds_everything_of_a_member(
    database: Database, history: SqlHistory, inbox: SqlInbox, privacy: SqlPrivacy
) -> None:
    scores = {"scores": {"echo": 0.5}}
    unused = (Rejected("not this", {"fault": "echo"}), Rejected("nor this", {}))
    await talk(history, said(1, "mine"), "yours", rejected=unused, **scores)
    await talk(history, said(2, "of Ben", author_id=BEN), "to Ben")
    await inbox.record(said(3, "waiting"))
    await settle(database, ANNA)
    exported = json.loads(json.dumps(await privacy.export(ANNA)))
    place = {"channel_id": "500", "server_id": "900"}
    moment = NOON.isoformat()
    assert exported == {
        "user_id": "7",
        "exported_at": moment,
        "locale": "ko",
        "turns": [
            {"role": "user", "text": "mine", "created_at": moment, **place},
            {"role": "bot", "text": "yours", "created_at": moment, **place, **scores},
        ],
        "unused_answers": [
            {"text": "not this", "scores": {"fault": "echo"}},
            {"text": "nor this"},
        ],
        "inbox": [
            {
                "state": "pending",
                "text": "waiting",
                "reply": None,
                "message_id": "3",
                "created_at": moment,
                **place,
            }
        ],
        "settings": [
            {"name": "temperature", "value": 0.5, "server_id": "900"},
            {"name": "top_k", "value": 3.0, "server_id": "900"},
        ],
    }


async def test_the_export_of_a_stranger_is_empty(privacy: SqlPrivacy) -> None:
    exported = await privacy.export(12345)
    assert not any(exported[part] for part in ("locale", "turns", "unused_answers", "inbox"))


async def test_in_a_shared_channel_the_nodes_stay_blank_and_nameless(
    database: Database, history: SqlHistory, inbox: SqlInbox, privacy: SqlPrivacy
) -> None:
    await inbox.record(said(1, "of Anna"))
    made = {"rejected": (Rejected("x", {}),), "scores": {"echo": 0.5}}
    anna = await talk(history, said(1, "of Anna"), "to Anna", **made)
    await inbox.record_part(1, 0, 71)
    await inbox.close(1)
    ben = await talk(history, said(2, "of Ben", author_id=BEN), "to Ben")
    assert await privacy.erase(ANNA) == Erased(2, 0)
    assert texts(await history.path(ben.bot.turn_id, 9)) == ["of Ben", "to Ben"]
    assert await history.head(CHANNEL) == Head(ben.bot.turn_id, 0, NOON)
    assert await count(database, tables.candidate) == 0
    user, bot, *_ = await rows(database, tables.turn)
    assert (user["text"], user["author_id"], user["source_message_id"]) == (b"", None, None)
    assert (bot["text"], bot["parent_id"], bot["scores"]) == (b"", anna.user.turn_id, None)
    (part,) = await rows(database, tables.reply_message)
    assert part["answers_id"] is None
    assert await count(database, tables.inbox) == 0
    assert (await privacy.export(ANNA))["turns"] == []


async def test_scopes_of_a_member_alone_go_whole(
    database: Database, history: SqlHistory, privacy: SqlPrivacy
) -> None:
    await talk(history, said(1, scope=DIRECT, guild_id=None))
    await talk(history, said(2, scope=Scope(500, ANNA)))
    await history.reset(Scope(501, ANNA))
    await talk(history, said(3, scope=Scope(500, BEN), author_id=BEN))
    await talk(history, said(4, scope=Scope(701), author_id=BEN, guild_id=None))
    assert await privacy.erase(ANNA) == Erased(4, 0)
    left = {
        (row["channel_id"], row["user_id"]) for row in await rows(database, tables.conversation)
    }
    assert left == {(700, 0), (500, BEN), (701, 0)}
    assert await count(database, tables.turn) == 4
    assert await history.head(DIRECT) == Head(None, 1)


async def test_a_thread_that_was_reset_does_not_find_its_way_back_after_an_erasure(
    database: Database, history: SqlHistory, privacy: SqlPrivacy, clock: Clock
) -> None:
    thread = Scope(77)
    await talk(history, said(77, "of Ben", author_id=BEN), "to Ben")
    await history.reset(thread)
    await talk(history, said(2, scope=thread, parent_channel_id=500))
    clock.move(hours=1)
    assert await privacy.erase(ANNA) == Erased(2, 0)
    assert await history.head(thread) == Head(None, 2)
    (row,) = [row for row in await rows(database, tables.conversation) if row["channel_id"] == 77]
    assert (row["user_id"], row["guild_id"], row["touched_at"]) == (0, GUILD, clock.now)


async def test_overrides_and_language_are_erased(database: Database, privacy: SqlPrivacy) -> None:
    await settle(database, ANNA)
    await settle(database, BEN)
    assert await privacy.erase(ANNA) == Erased(0, 2)
    assert await count(database, tables.sampling_override) == 2
    assert await count(database, tables.member_locale) == 1


async def test_a_reply_that_is_being_made_is_not_stored_after_the_erasure(
    database: Database, history: SqlHistory, inbox: SqlInbox, privacy: SqlPrivacy
) -> None:
    await inbox.record(said(1, "secret", scope=Scope(500, ANNA), reply_to_id=5))
    await inbox.record_part(1, 0, 71)
    await privacy.erase(ANNA)
    with pytest.raises(ScopeMovedError):
        await history.remember(draft(said(1, "secret", scope=Scope(500, ANNA))), Head())
    (mark,) = await rows(database, tables.inbox)
    assert (mark["state"], mark["text"], mark["author_id"]) == ("done", b"", 0)
    assert (mark["user_id"], mark["reply_to_id"]) == (0, None)
    assert await count(database, tables.reply_message) == 0
    assert await inbox.unfinished() == []


async def test_what_a_look_back_could_find_again_leaves_a_mark_of_ids_alone(
    database: Database, history: SqlHistory, inbox: SqlInbox, clock: Clock
) -> None:
    privacy = SqlPrivacy(database, mark_age=timedelta(minutes=30), clock=clock)
    direct = {"guild_id": None, "scope": DIRECT}
    for message_id, minutes in ((1, -31), (2, -29), (3, -29), (4, 0)):
        moment = NOON + timedelta(minutes=minutes)
        place = direct if message_id == 3 else {"parent_channel_id": 400, "reply_to_id": 5}
        await inbox.record(said(message_id, "secret", created_at=moment, **place))
        if message_id < 4:
            await talk(history, said(message_id, "secret", **place), parent_id=None)
            await inbox.close(message_id)
    await privacy.erase(ANNA)
    marks = await rows(database, tables.inbox)
    assert [mark["message_id"] for mark in marks] == [2, 3, 4]
    for mark in marks:
        assert not await inbox.record(said(mark["message_id"], "secret"))
        del mark["message_id"], mark["created_at"]
    nothing = {name: value for name, value in marks[0].items() if not value}
    assert marks == [{"state": "done", **nothing}] * 3
    assert await inbox.unfinished() == []
    assert not (await privacy.export(ANNA))["inbox"]
    assert await privacy.erase(ANNA) == Erased(0, 0)
    clock.move(days=2, minutes=1)
    await sure_retention(database, clock).sweep()
    assert await rows(database, tables.inbox) == []


async def test_erasing_twice_and_erasing_a_stranger_do_nothing_more(
    history: SqlHistory, privacy: SqlPrivacy
) -> None:
    await talk(history, said(1))
    assert await privacy.erase(ANNA) == Erased(2, 0)
    assert await privacy.erase(ANNA) == Erased(0, 0)
    assert await privacy.erase(12345) == Erased(0, 0)
