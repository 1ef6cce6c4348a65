"""The key of a database: HISTORY_KEY, its file, and every way to have the wrong one."""

import stat
from pathlib import Path

import pytest

from bot.errors import DatabaseError
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.upkeep.opening import open_database
from tests.store.talk import CHANNEL, rows, said, talk, texts


async def opened(url: str, folder: Path, history_key: str | None) -> Database:
    return await open_database(url, history_key=history_key, key_path=folder / "history.key")


async def write(url: str, folder: Path, history_key: str | None) -> list[bytes]:
    """Store an exchange under a key; returns the texts as they are stored."""
    database = await opened(url, folder, history_key)
    await talk(SqlHistory(database, origin="discord"), said(1, "a secret"), "another")
    stored = [row["text"] for row in await rows(database, tables.turn)]
    await database.close()
    return stored


async def read(url: str, folder: Path, history_key: str | None) -> list[str]:
    database = await opened(url, folder, history_key)
    history = SqlHistory(database, origin="discord")
    try:
        head = await history.head(CHANNEL)
        return texts(await history.path(head.turn_id or 0, 9))
    finally:
        await database.close()


@pytest.mark.parametrize("history_key", ["a passphrase", None, "off"])
async def test_what_was_written_is_read_after_a_restart(
    url: str, tmp_path: Path, history_key: str | None
) -> None:
    stored = await write(url, tmp_path, history_key)
    assert (stored == [b"a secret", b"another"]) == (history_key == "off")
    assert await read(url, tmp_path, history_key) == ["a secret", "another"]


async def test_the_key_file_is_made_once_for_its_owner_only(
    sqlite_url: str, tmp_path: Path
) -> None:
    await write(sqlite_url, tmp_path, "")
    key_file = tmp_path / "history.key"
    key = key_file.read_text()
    assert len(key) == 44
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert await read(sqlite_url, tmp_path, "  ") == ["a secret", "another"]
    assert key_file.read_text() == key


async def test_the_content_of_the_key_file_may_move_into_the_settings(
    sqlite_url: str, tmp_path: Path
) -> None:
    await write(sqlite_url, tmp_path, None)
    key = (tmp_path / "history.key").read_text()
    (tmp_path / "history.key").unlink()
    assert await read(sqlite_url, tmp_path, key) == ["a secret", "another"]


async def test_off_makes_no_key_file(sqlite_url: str, tmp_path: Path) -> None:
    await write(sqlite_url, tmp_path, "OFF")
    assert not (tmp_path / "history.key").exists()


@pytest.mark.parametrize(
    ("made_with", "opened_with", "sentence"),
    [
        ("right", "wrong", "HISTORY_KEY is not the key"),
        ("right", "off", "HISTORY_KEY is `off`"),
        ("right", None, "is missing"),
        ("off", "right", "begun without encryption"),
        ("off", None, "begun without encryption"),
        (None, "wrong", "HISTORY_KEY is not the key"),
    ],
)
async def test_another_key_is_refused_with_a_sentence(
    url: str, tmp_path: Path, made_with: str | None, opened_with: str | None, sentence: str
) -> None:
    await write(url, tmp_path, made_with)
    with pytest.raises(DatabaseError, match=sentence):
        await opened(url, tmp_path, opened_with)
    assert await read(url, tmp_path, made_with) == ["a secret", "another"]


async def test_another_key_file_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    await write(sqlite_url, tmp_path, None)
    (tmp_path / "history.key").write_text("of another database")
    with pytest.raises(DatabaseError, match="does not fit"):
        await opened(sqlite_url, tmp_path, None)
    (tmp_path / "history.key").write_bytes(b"\xff\xfe")
    with pytest.raises(DatabaseError, match="cannot be read"):
        await opened(sqlite_url, tmp_path, None)


@pytest.mark.parametrize("content", ["", "\n", " 123456789012345\n"])
async def test_a_new_database_is_not_sealed_with_a_key_that_everybody_knows(
    url: str, tmp_path: Path, content: str
) -> None:
    (tmp_path / "history.key").write_text(content)
    for _ in range(2):
        with pytest.raises(DatabaseError, match="holds no secret: delete it"):
            await opened(url, tmp_path, None)
    (tmp_path / "history.key").unlink()
    await write(url, tmp_path, None)


async def test_a_short_history_key_is_the_owners_choice(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "history.key").touch()
    await write(sqlite_url, tmp_path, "abc")


async def test_a_database_that_an_older_version_sealed_with_an_empty_file_opens_with_a_warning(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "history.key").touch()
    with monkeypatch.context() as patched:
        patched.setattr("bot.store.upkeep.keys.LEAST_BYTES", 0)
        await write(url, tmp_path, None)
    assert await read(url, tmp_path, None) == ["a secret", "another"]
    assert caplog.text.count("holds no secret") == 1


async def test_a_key_file_that_others_can_read_is_warned_of(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await write(sqlite_url, tmp_path, None)
    assert "chmod" not in caplog.text
    (tmp_path / "history.key").chmod(0o644)
    await read(sqlite_url, tmp_path, None)
    assert "chmod 600" in caplog.text


async def test_a_key_file_that_cannot_be_made_stops_the_start(
    sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="cannot be written"):
        await open_database(
            sqlite_url, history_key=None, key_path=tmp_path / "file" / "history.key"
        )
