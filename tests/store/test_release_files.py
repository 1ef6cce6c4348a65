"""What release 0.1.0 left on an owner's disk is opened, read, continued and erased by this code."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.delivery.ports import InboxEntry
from bot.dialogue.sampling import Layer, Place
from bot.dialogue.turn import Role, Scope
from bot.errors import DatabaseError
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.privacy import SqlPrivacy
from bot.store.sampling import SqlSampling
from bot.store.servers import SqlServers
from bot.store.upkeep.inspection import inspect
from bot.store.upkeep.migration import Schema
from bot.store.upkeep.opening import open_database
from tests.fixtures import release_0_1_0 as release
from tests.fixtures.release_0_1_0 import HISTORY_KEYS, KINDS, Said
from tests.rooms import Rooms, answered, said, settled
from tests.store.talk import Clock, rows, sure_retention, texts
from tests.whole_bot.traces import files_with

THEIRS = (release.HELLO, release.MUSIC, release.THREADED, release.PRIVATE, release.OWN)


def url_of(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'banter.db'}"


async def opened(folder: Path, kind: str) -> Database:
    return await open_database(
        url_of(folder), history_key=HISTORY_KEYS[kind], key_path=folder / "banter.db.key"
    )


@pytest.fixture(params=KINDS)
async def old(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """The database of the release, on a copy that a test may change."""
    release.unpack(request.param, tmp_path / "banter.db")
    database = await opened(tmp_path, request.param)
    yield database
    await database.close()


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Database]:
    """The one with a key file."""
    release.unpack("keyfile", tmp_path / "banter.db")
    database = await opened(tmp_path, "keyfile")
    yield database
    await database.close()


@pytest.fixture
def clock() -> Clock:
    """A moment after the last message."""
    clock = Clock()
    clock.now = release.LAST
    return clock


async def dialogue(history: SqlHistory, scope: Scope) -> list[str]:
    head = await history.head(scope)
    return texts(await history.path(head.turn_id or 0, 99))


async def test_every_word_of_every_scope_is_read(old: Database) -> None:
    history = SqlHistory(old, origin="discord")
    hello, music, threaded = release.HELLO, release.MUSIC, release.THREADED
    assert await dialogue(history, Scope(release.GENERAL)) == [
        *(hello.text, hello.reply),
        *(music.text, music.reply),
    ]
    assert await dialogue(history, Scope(release.THREAD)) == [
        *(hello.text, hello.reply),
        *(threaded.text, threaded.reply),
    ]
    for alone, scope in (
        (release.PRIVATE, Scope(release.DIRECT)),
        (release.OWN, Scope(release.GENERAL, release.BEN)),
        (release.UNSENT, Scope(release.QUEUE)),
        (release.HALF_SENT, Scope(release.LONG)),
    ):
        assert await dialogue(history, scope) == [alone.text, alone.reply]
    reset = await history.head(Scope(release.ASIDE))
    assert (reset.turn_id, reset.epoch) == (None, 1)


@pytest.mark.parametrize("one", THEIRS, ids=lambda one: f"message {one.number}")
async def test_a_message_is_found_by_its_id_and_by_that_of_its_reply(
    keyed: Database, one: Said
) -> None:
    history = SqlHistory(keyed, origin="discord")
    asked = await history.turn_of_message(one.message_id)
    replied = await history.turn_of_message(one.sent_id)
    assert asked is not None
    assert (asked.role, asked.text, asked.author_id) == (Role.USER, one.text, one.author_id)
    assert replied is not None
    assert (replied.role, replied.text, replied.parent_id) == (Role.BOT, one.reply, asked.turn_id)


async def test_what_was_withdrawn_is_gone_and_keeps_its_place(keyed: Database) -> None:
    history = SqlHistory(keyed, origin="discord")
    gone = await history.turn_of_message(release.GONE.message_id)
    assert gone is not None
    assert gone.text == ""
    answer = await history.turn_of_message(release.GONE.sent_id)
    assert answer is not None
    assert answer.text == ""


async def test_what_was_not_chosen_keeps_its_words_and_scores(old: Database) -> None:
    # what was withdrawn has none any more
    rejected = await rows(old, tables.candidate)
    assert [old.cipher.open(row["text"]) for row in rejected] == [release.REJECTED] * 7
    assert [row["scores"] for row in rejected] == [release.REJECTED_SCORES] * 7
    turns = await rows(old, tables.turn)
    assert {row["origin"] for row in turns} == {"discord"}
    replies = [row for row in turns if row["role"] == "bot" and row["text"]]
    assert [row["scores"] for row in replies] == [release.SCORES] * 7


async def test_settings_and_languages_are_in_force(old: Database) -> None:
    sampling, servers = SqlSampling(old), SqlServers(old)
    place = Place(release.GUILD, release.GENERAL, release.ANNA)
    assert await sampling.overrides(place) == {
        Layer.SERVER: release.SERVER_VALUES,
        Layer.CHANNEL: release.CHANNEL_VALUES,
        Layer.MEMBER: release.MEMBER_VALUES,
    }
    assert {user: await servers.locale(user) for user in release.LOCALES} == release.LOCALES
    assert await servers.setting(0, "application") == str(release.APPLICATION)
    assert await servers.servers() == [release.GUILD]


def shown(entry: InboxEntry) -> tuple[int, str, str | None, tuple[int, ...]]:
    return entry.said.message_id, entry.said.text, entry.reply_text, entry.sent_ids


async def test_the_inbox_gives_out_what_is_not_done(old: Database) -> None:
    inbox = SqlInbox(old)
    entries = await inbox.unfinished()
    unsent, half, pending = release.UNSENT, release.HALF_SENT, release.PENDING
    assert [shown(entry) for entry in entries] == [
        (unsent.message_id, unsent.text, unsent.reply, ()),
        (half.message_id, half.text, half.reply, (half.sent_id,)),
        (pending.message_id, pending.text, None, ()),
    ]
    assert [entry.attempts for entry in entries] == [1, 1, 1]
    assert {entry.said.guild_id for entry in entries} == {release.GUILD}
    for one in (*THEIRS, release.GONE):  # done: a message that is delivered again is known
        again = said(one.text, one.message_id)
        assert not await inbox.record(again)


async def test_a_start_soon_after_goes_on_where_the_inbox_stands(
    keyed: Database, clock: Clock
) -> None:
    rooms = Rooms(keyed)
    rooms.clock.now = release.BEGIN + timedelta(minutes=10)
    await rooms.delivery.start(rooms.courier)
    await settled(rooms)
    sent = {part.nonce: part.text for part in rooms.courier.sent}
    assert set(answered(rooms)) == {
        *(release.UNSENT.message_id, release.HALF_SENT.message_id, release.PENDING.message_id)
    }
    assert sent[f"r{release.UNSENT.message_id}-0"] == release.UNSENT.reply
    assert f"r{release.HALF_SENT.message_id}-0" not in sent
    assert sent[f"r{release.HALF_SENT.message_id}-1"].endswith("word399")
    # the question that waited continues what was said before it in its channel
    turns = await dialogue(rooms.history, Scope(release.QUEUE))
    assert turns[:3] == [release.UNSENT.text, release.UNSENT.reply, release.PENDING.text]
    assert await rooms.inbox.unfinished() == []


async def test_a_start_much_later_sends_what_is_stored_and_answers_nothing_late(
    keyed: Database,
) -> None:
    rooms = Rooms(keyed)
    rooms.clock.now = release.BEGIN + timedelta(days=1)
    rooms.courier.in_channel = {release.HALF_SENT.message_id: [release.HALF_SENT.sent_id]}
    await rooms.delivery.start(rooms.courier)
    await settled(rooms)
    assert [part.nonce for part in rooms.courier.sent] == [
        f"r{release.UNSENT.message_id}-0",
        f"r{release.HALF_SENT.message_id}-1",
    ]
    assert rooms.engine.asked == []
    assert await rooms.inbox.unfinished() == []


async def test_a_conversation_and_a_new_thread_go_on_from_the_old_turns(old: Database) -> None:
    rooms = Rooms(old)
    channel, new_thread = Scope(release.GENERAL), Scope(release.MUSIC.sent_id)
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("Which one?", 11, scope=channel))
    rooms.delivery.accept(
        said("Which one?", 12, scope=new_thread, parent_channel_id=release.GENERAL)
    )
    rooms.delivery.accept(said("Go on.", 13, scope=Scope(release.THREAD)))
    await rooms.courier.wait_for(3)
    await settled(rooms)
    old_words = [release.HELLO.text, release.HELLO.reply, release.MUSIC.text, release.MUSIC.reply]
    for scope in (channel, new_thread):
        assert (await dialogue(rooms.history, scope))[:5] == [*old_words, "Which one?"]
    in_thread = await dialogue(rooms.history, Scope(release.THREAD))
    assert in_thread[2:5] == [release.THREADED.text, release.THREADED.reply, "Go on."]
    new = await rooms.history.turn_of_message(11)
    assert new is not None
    assert new.turn_id > 16  # ids are never used twice


async def test_a_member_gets_and_erases_all_that_the_release_kept(
    old: Database, tmp_path: Path
) -> None:
    privacy = SqlPrivacy(old)
    exported = json.dumps(await privacy.export(release.ANNA), ensure_ascii=False)
    annas = (release.HELLO, release.THREADED, release.PRIVATE, release.UNSENT)
    assert [one.text for one in annas if one.text not in exported] == []
    assert release.MUSIC.text not in exported
    sealed: list[str | bytes] = [
        row["text"]
        for row in await rows(old, tables.turn)
        if row["author_id"] == release.ANNA and row["text"]
    ]
    assert len(sealed) == 4
    assert files_with(sealed, tmp_path)
    await privacy.erase(release.ANNA)
    assert files_with([*sealed, *(one.text for one in annas)], tmp_path) == {}
    left = await privacy.export(release.ANNA)
    assert [left[part] for part in ("turns", "unused_answers", "inbox", "settings")] == [[]] * 4
    music = await SqlHistory(old, origin="discord").turn_of_message(release.MUSIC.message_id)
    assert music is not None
    assert music.text == release.MUSIC.text


async def test_retention_counts_from_the_days_that_the_release_wrote(
    keyed: Database, clock: Clock
) -> None:
    retention = sure_retention(keyed, clock)
    clock.move(days=29)
    assert await retention.sweep() == 0
    assert await SqlInbox(keyed).unfinished() == []  # it forgets after two days
    clock.move(days=2)
    assert await retention.sweep() == 16


@pytest.mark.parametrize("kind", KINDS)
async def test_the_doctor_is_content_and_changes_nothing(kind: str, tmp_path: Path) -> None:
    path = release.unpack(kind, tmp_path / "banter.db")
    before = path.read_bytes()
    found = await inspect(
        url_of(tmp_path), history_key=HISTORY_KEYS[kind], key_path=tmp_path / "banter.db.key"
    )
    assert found.schema in {Schema.CURRENT, Schema.OLDER}
    assert found.key_error is None
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["keyfile", "passphrase"])
async def test_another_key_does_not_open_it(kind: str, tmp_path: Path) -> None:
    release.unpack(kind, tmp_path / "banter.db")
    with pytest.raises(DatabaseError, match="not the key"):
        await open_database(
            url_of(tmp_path), history_key="another", key_path=tmp_path / "banter.db.key"
        )


def test_the_roles_of_turns_keep_their_names() -> None:
    assert [role.value for role in Role] == ["user", "bot"]
