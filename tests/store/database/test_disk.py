"""After an erasure no byte of a member's words is in any file of the folder."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.dialogue.turn import Scope
from bot.errors import StoreUnavailableError
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.database.scrubbing import shred
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.privacy import SqlPrivacy
from bot.store.servers import SqlServers
from bot.store.upkeep.by_hand import check
from bot.store.upkeep.opening import open_database
from tests.store.talk import ANNA, BEN, CHANNEL, rows, said, talk

SECRET = "CANARY-of-Anna"
OTHER = "CANARY-of-Ben"


def hits(folder: Path, needle: bytes) -> dict[str, int]:
    """How often `needle` stands in each file, the log and shared memory among them."""
    found = {path.name: path.read_bytes().count(needle) for path in folder.iterdir()}
    return {name: number for name, number in found.items() if number}


@pytest.fixture(params=["off", "a passphrase"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(
        f"sqlite+aiosqlite:///{tmp_path}/banter.db",
        history_key=request.param,
        key_path=tmp_path / "history.key",
        busy_seconds=0.1,
    )
    yield database
    await database.close()


async def chatter(database: Database, num_turns: int) -> None:
    """Texts of very different lengths, edits and deletions: pages split, merge and overflow."""
    history, inbox = SqlHistory(database, origin="discord"), SqlInbox(database)
    dice = random.Random(3)
    for number in range(1, num_turns + 1):
        author, word = dice.choice([(ANNA, SECRET), (BEN, OTHER)])
        scope = dice.choice([CHANNEL, Scope(501), Scope(500, author)])
        heard = said(number, f"{word} " * dice.randrange(1, 60), author_id=author, scope=scope)
        await inbox.record(heard)
        await talk(history, heard, f"{word} " * dice.randrange(1, 60))
        if dice.random() < 0.3:
            await inbox.close(number)
        if dice.random() < 0.3:
            longer = f"{OTHER if author == BEN else SECRET} " * dice.randrange(1, 900)
            await history.revise(number, longer)
        if dice.random() < 0.1:
            await history.withdraw([dice.randrange(1, number + 1)])


async def sealed_texts(database: Database, author_id: int) -> list[bytes]:
    stored = await rows(database, tables.turn)
    return [row["text"] for row in stored if row["author_id"] == author_id and row["text"]]


async def test_no_byte_of_an_erased_member_is_left(opened: Database, tmp_path: Path) -> None:
    await chatter(opened, 150)
    backup = opened.address.backup_path
    assert backup is not None
    reader = sqlite3.connect(tmp_path / "banter.db")
    reader.execute("SELECT count(*) FROM turn").fetchall()
    with sqlite3.connect(backup) as copy:
        reader.backup(copy)
    copy.close()
    stored = await sealed_texts(opened, ANNA)
    assert len(stored) > 30
    assert hits(tmp_path, stored[0])
    await SqlPrivacy(opened).erase(ANNA)
    assert [hits(tmp_path, text[:40]) for text in stored if hits(tmp_path, text[:40])] == []
    assert hits(tmp_path, SECRET.encode()) == {}
    assert not backup.exists()
    assert await check(str(opened.address.url)) == []
    assert await sealed_texts(opened, BEN)
    reader.close()


def stir(path: Path, seed: int) -> None:
    """Turns of ten members, many rewritten to another length or deleted: rows move a lot."""
    dice = random.Random(seed)
    texts = {author: b"CANARY-%d " % author for author in range(ANNA, ANNA + 10)}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA secure_delete=ON")
        for number in range(1, 2001):
            author = dice.choice(list(texts))
            longest = 600 if dice.random() < 0.03 else 40
            connection.execute(
                "INSERT INTO turn (id, author_id, text, channel_id, user_id, role, origin,"
                " tokenizer, epoch, created_at)"
                " VALUES (?, ?, ?, 500, 0, 'user', 'discord', '', 0, '2026-03-01')",
                (number, author, texts[author] * dice.randrange(1, longest)),
            )
            older = dice.randrange(1, number + 1)
            if dice.random() < 0.15:
                connection.execute(
                    "UPDATE turn SET author_id = ?, text = ? WHERE id = ?",
                    (author, texts[author] * dice.randrange(1, 300), older),
                )
            if dice.random() < 0.05:
                connection.execute("DELETE FROM turn WHERE id = ?", (older,))


@pytest.mark.parametrize("seed", range(3))
async def test_copies_that_moved_rows_left_behind_go_too(
    sqlite_database: Database, tmp_path: Path, seed: int
) -> None:
    """SQLite's secure_delete does not reach them: what VACUUM is for."""
    stir(tmp_path / "banter.db", seed)
    await SqlPrivacy(sqlite_database).erase(ANNA)
    assert hits(tmp_path, b"CANARY-%d " % ANNA) == {}
    assert hits(tmp_path, b"CANARY-%d " % BEN)["banter.db"] > 1000


async def test_clear_words_would_have_been_found(tmp_path: Path) -> None:
    """The search is no empty gesture: before the erasure it finds them, in the log too."""
    database = await open_database(
        f"sqlite+aiosqlite:///{tmp_path}/banter.db", history_key="off", key_path=tmp_path / "key"
    )
    await chatter(database, 20)
    assert hits(tmp_path, SECRET.encode())["banter.db-wal"] > 5
    await database.checkpoint()
    assert hits(tmp_path, SECRET.encode())["banter.db"] > 5
    await database.close()


async def test_encrypted_words_are_in_no_file(tmp_path: Path) -> None:
    database = await open_database(
        f"sqlite+aiosqlite:///{tmp_path}/banter.db", history_key=None, key_path=tmp_path / "key"
    )
    await chatter(database, 20)
    assert hits(tmp_path, b"CANARY") == {}
    await database.close()
    assert hits(tmp_path, b"CANARY") == {}


async def test_a_long_reader_delays_the_cleaning_and_erasing_again_finishes_it(
    opened: Database, tmp_path: Path
) -> None:
    await chatter(opened, 10)
    stored = await sealed_texts(opened, ANNA)
    reader = sqlite3.connect(tmp_path / "banter.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM turn").fetchall()
    with pytest.raises(StoreUnavailableError):
        await SqlPrivacy(opened).erase(ANNA)
    assert await sealed_texts(opened, ANNA) == []
    reader.close()
    await SqlPrivacy(opened).erase(ANNA)
    assert [hits(tmp_path, text[:40]) for text in stored if hits(tmp_path, text[:40])] == []


async def test_a_reader_that_ends_in_time_is_waited_for(opened: Database, tmp_path: Path) -> None:
    await chatter(opened, 10)
    reader = sqlite3.connect(tmp_path / "banter.db", isolation_level=None, check_same_thread=False)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM turn").fetchall()
    asyncio.get_running_loop().call_later(0.15, reader.close)
    await SqlPrivacy(opened).erase(ANNA)
    assert hits(tmp_path, SECRET.encode()) == {}


async def test_leaving_a_server_leaves_no_byte_of_it(opened: Database, tmp_path: Path) -> None:
    await chatter(opened, 40)
    stored = [*await sealed_texts(opened, ANNA), *await sealed_texts(opened, BEN)]
    await SqlServers(opened).purge_server(900, [])
    assert [hits(tmp_path, text[:40]) for text in stored if hits(tmp_path, text[:40])] == []


def test_a_shredded_file_is_overwritten_before_it_goes(tmp_path: Path) -> None:
    path, other_name = tmp_path / "copy", tmp_path / "same file"
    path.write_bytes(b"words" * 400_000)
    other_name.hardlink_to(path)
    shred(path)
    shred(path)
    assert not path.exists()
    assert other_name.read_bytes() == bytes(2_000_000)
