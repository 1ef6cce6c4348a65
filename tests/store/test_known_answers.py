"""Formats that outlive a process: what was written once has to be read for ever.

A change that fails here makes owners' histories unreadable. A new form needs a way to read the
old one, and a known answer of its own beside it.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Table

from bot.store.database import tables
from bot.store.database.connect import address_of
from bot.store.database.crypto import Cipher, KeyRecord, matching_cipher
from bot.store.database.database import Database
from bot.store.database.scrubbing import note_erased, read_note
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox, State
from bot.store.privacy import SqlPrivacy
from bot.store.upkeep.opening import open_database
from tests.store.talk import ANNA, Clock, rows, said, sure_retention, talk

MIGRATIONS = Path(__file__).parents[2] / "migrations"

SECRET = "größer horse"
# salt 00 01 … 0f, and the HMAC-SHA256 of b"banter history key" under the derived key
RECORD = "AAECAwQFBgcICQoLDA0ODw==:nmStv68jInJHg/8OrkmewJdKhkoAR4k+S+fR4jFNcrw="
# nonce 00 01 … 0b, ciphertext, tag
SEALED = bytes.fromhex(
    "000102030405060708090a0b87711ef7b461fe87301c519d197387b8ccd74b019df95cddb816d4dc88baa91d73"
)
KEY = bytes.fromhex("863d3b477bf04deccf951f2a891071d87568fdcd87ef533b44caf531addda7ef")
WORDS = "안녕 🙂 hello"

# What was released is never edited: a database that ran it would not run it again.
REVISIONS = {
    "0001_history.py": "4ab7462cf599dc3f616c6bdcdce6e8544877394faba35c63de02a29a1aeabf23",
    "0002_privacy.py": "d88f779668cf44d7c7f3573fc471e2145f2996e3481fff08b832a939e7c007e2",
    "0003_scores.py": "dda3f2f67720eef82c539874c8f11a8e83dbf838c0576a698cbf838e09bce6ee",
}


def test_a_secret_opens_what_it_sealed_years_ago() -> None:
    """The key is scrypt with n=2^14, r=8, p=1: another cost is another key."""
    cipher = matching_cipher(SECRET, KeyRecord.parse(RECORD))
    assert cipher is not None
    assert cipher.open(SEALED) == WORDS


def test_a_text_that_was_sealed_under_a_key_opens_under_it() -> None:
    assert Cipher(KEY).open(SEALED) == WORDS
    assert len(Cipher(KEY).seal(WORDS)) == len(SEALED)  # 12 bytes of nonce, 16 of tag


def test_a_record_is_read_as_it_is_written() -> None:
    assert str(KeyRecord.parse(RECORD)) == RECORD
    assert str(KeyRecord()) == "off"
    assert KeyRecord.parse("off") == KeyRecord()


async def test_where_and_how_a_database_keeps_its_key(tmp_path: Path) -> None:
    path, key_path = tmp_path / "banter.db", tmp_path / "history.key"
    url = f"sqlite+aiosqlite:///{path}"
    database = await open_database(url, history_key=None, key_path=key_path)
    (record,) = await rows(database, tables.server_setting)
    await database.close()
    assert (record["guild_id"], record["name"]) == (0, "history_key")
    # 16 bytes of salt and 32 of proof; 32 bytes of key: base64, and nothing else in the file
    assert re.fullmatch(r"[A-Za-z0-9+/]{22}==:[A-Za-z0-9+/]{43}=", record["value"])
    assert re.fullmatch(rb"[A-Za-z0-9+/]{43}=", key_path.read_bytes())


async def test_a_record_of_once_unlocks_a_database(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/banter.db"
    key_path = tmp_path / "history.key"
    database = await open_database(url, history_key="another", key_path=key_path)
    put_back = tables.server_setting.update().values(value=RECORD)
    await database.write(lambda connection: connection.execute(put_back))
    await database.close()
    opened = await open_database(url, history_key=SECRET, key_path=key_path)
    assert opened.cipher.open(SEALED) == WORDS
    await opened.close()


def test_the_states_of_the_inbox_keep_their_names() -> None:
    assert [state.value for state in State] == ["pending", "answered", "done"]


async def test_the_inbox_goes_from_pending_over_answered_to_done(
    database: Database, history: SqlHistory, inbox: SqlInbox
) -> None:
    await inbox.record(said(1, "hello"))
    (row,) = await rows(database, tables.inbox)
    assert (row["state"], row["text"], row["reply_text"]) == ("pending", b"hello", None)
    exchange = await talk(history, said(1, "hello"), "hi")
    (row,) = await rows(database, tables.inbox)
    assert (row["state"], row["reply_text"]) == ("answered", b"hi")
    assert row["reply_turn_id"] == exchange.bot.turn_id
    await inbox.close(1)
    (row,) = await rows(database, tables.inbox)
    assert (row["state"], row["text"], row["reply_text"]) == ("done", b"", None)


COLUMNS: Mapping[str, Sequence[str]] = {
    "turn": (
        *("id", "guild_id", "channel_id", "user_id", "parent_id", "role", "author_id", "origin"),
        *("text", "num_tokens", "tokenizer", "source_message_id", "epoch", "created_at"),
        *("context_start_id", "num_prompt_tokens", "model", "revision", "params", "seed"),
        *("finish_reason", "latency_ms", "scores"),
    ),
    "candidate": ("id", "turn_id", "rank", "text", "scores"),
    "conversation": (
        *("channel_id", "user_id", "guild_id", "head_turn_id", "epoch", "touched_at"),
    ),
    "reply_message": ("message_id", "answers_id", "turn_id", "part", "created_at"),
    "inbox": (
        *("message_id", "guild_id", "channel_id", "user_id", "parent_channel_id", "author_id"),
        *("reply_to_id", "text", "state", "reply_text", "reply_turn_id", "attempts"),
        *("created_at",),
    ),
    "sampling_override": ("layer", "guild_id", "channel_id", "user_id", "field", "value"),
    "server_setting": ("guild_id", "name", "value"),
    "member_locale": ("user_id", "locale", "saved_at"),
}


def test_every_column_of_the_release_is_there() -> None:
    """Columns may come with a migration; one that goes takes its rows' meaning along."""
    there = tables.METADATA.tables
    assert set(COLUMNS) <= set(there)
    for name, columns in COLUMNS.items():
        assert [one for one in columns if one not in _names(there[name])] == [], name


def _names(table: Table) -> set[str]:
    return {column.name for column in table.columns}


async def test_the_words_in_the_columns_of_a_turn(database: Database, history: SqlHistory) -> None:
    await talk(history, said(1))
    user, bot = await rows(database, tables.turn)
    assert (user["role"], bot["role"]) == ("user", "bot")
    assert user["origin"] == bot["origin"] == "discord"
    assert user["user_id"] == 0  # of the whole channel


async def test_an_erasure_and_an_ageing_leave_their_notes(
    sqlite_database: Database, sqlite_history: SqlHistory, clock: Clock
) -> None:
    """The note stands under guild 0; what it says is told apart by `aged` alone."""
    await talk(sqlite_history, said(1))
    clock.move(days=31)
    await sure_retention(sqlite_database, clock).sweep()
    notes = {
        row["name"]: row["value"] for row in await rows(sqlite_database, tables.server_setting)
    }
    assert notes["scrub_due"] == "aged"
    await sqlite_database.write(note_erased)
    note = await sqlite_database.read(read_note)
    assert note is not None
    assert re.fullmatch("[0-9a-f]{32}", note)
    await talk(sqlite_history, said(2))
    await SqlPrivacy(sqlite_database).erase(ANNA)
    assert await sqlite_database.read(read_note) is None


def test_copies_lie_beside_the_database_under_their_names(tmp_path: Path) -> None:
    """An erasure shreds copies by their names: one under another name would be kept."""
    address = address_of(f"sqlite+aiosqlite:///{tmp_path}/banter.db")
    assert address.backup_path == tmp_path / "banter.db.backup"
    assert {path.name for path in address.copies} == {"banter.db.backup", "banter.db.backup.new"}


def test_revisions_follow_each_other_from_the_first() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    released = [script.revision for script in scripts.walk_revisions()][::-1]
    assert released[:4] == ["0001", "0002", "0003", "0004"]
    assert len(scripts.get_heads()) == 1


@pytest.mark.parametrize("name", REVISIONS)
def test_a_released_revision_is_not_edited(name: str) -> None:
    content = (MIGRATIONS / "versions" / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == REVISIONS[name]
