"""Finds the key of a database: HISTORY_KEY, or a key file made at the first start."""

import base64
import logging
import os
from pathlib import Path

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import DatabaseError
from bot.paths import is_open_to_others, is_there
from bot.store.database.crypto import OFF, Cipher, KeyRecord, matching_cipher, new_lock
from bot.store.database.rows import NO_ID, has
from bot.store.database.tables import server_setting

LEAST_BYTES = 16  # of a key file for a new database; the key that a start makes has 44
_RECORD = {"guild_id": NO_ID, "name": "history_key"}
_IS_RECORD = has(server_setting, _RECORD)

logger = logging.getLogger(__name__)


async def unlock(connection: AsyncConnection, history_key: str | None, key_path: Path) -> Cipher:
    """The cipher of this database, inside a writing transaction, which is proved to write.

    `history_key` is the owner's secret, `off`, or None for the file at `key_path`.
    Raises DatabaseError when it is not the key that the database was made with.
    """
    setting = _normal(history_key)
    stored = await _stored(connection)
    if stored is None:
        cipher, record = new_lock(setting or _read_or_make(key_path))
        await connection.execute(insert(server_setting).values(**_RECORD, value=str(record)))
        return cipher
    # SQLite begins an IMMEDIATE transaction on a read-only file without a word.
    await connection.execute(update(server_setting).where(_IS_RECORD).values(value=stored))
    return _open(KeyRecord.parse(stored), setting, key_path)


async def key_error(
    connection: AsyncConnection, history_key: str | None, key_path: Path
) -> DatabaseError | None:
    """What `unlock` would raise, returned; None where the key fits, or none is needed."""
    stored = await _stored(connection)
    if stored is None:
        return None
    try:
        _open(KeyRecord.parse(stored), _normal(history_key), key_path)
    except DatabaseError as error:
        return error
    return None


async def _stored(connection: AsyncConnection) -> str | None:
    """The record of the key, as it stands in the database."""
    stored: str | None = await connection.scalar(select(server_setting.c.value).where(_IS_RECORD))
    return stored


def _open(record: KeyRecord, setting: str | None, key_path: Path) -> Cipher:
    """The cipher of the database that `record` comes from; raises DatabaseError for another key."""
    if record.is_off and setting != OFF:
        raise DatabaseError(
            "The history was begun without encryption: set HISTORY_KEY=off, or start a new"
            " database."
        )
    if setting == OFF and not record.is_off:
        raise DatabaseError(
            "The history is encrypted, but HISTORY_KEY is `off`: give the key that it was made"
            " with."
        )
    if setting is None and not key_path.exists():
        raise DatabaseError(
            "The key file of the history, {path}, is missing: put it back, or set HISTORY_KEY.",
            path=key_path,
        )
    secret = setting or _read(key_path)
    cipher = matching_cipher(secret, record)
    if cipher is None and setting is None:
        raise DatabaseError(
            "The key file {path} does not fit the history: put the right one back, or set"
            " HISTORY_KEY.",
            path=key_path,
        )
    if cipher is None:
        raise DatabaseError(
            "HISTORY_KEY is not the key that the history was made with: give that one."
        )
    if setting is None and len(secret) < LEAST_BYTES:  # an older version took it
        logger.warning(
            "The key file %s holds no secret: a copy of the database can be read without it. Only a"
            " new database gets a new key",
            key_path,
        )
    return cipher


def _normal(history_key: str | None) -> str | None:
    """HISTORY_KEY without its variants of writing; None where it is not set."""
    if history_key is None or not history_key.strip():
        return None
    return OFF if history_key.strip().lower() == OFF else history_key


def new_key_error(history_key: str | None, key_path: Path) -> DatabaseError | None:
    """What keeps a new database from being made with this key; None: nothing does."""
    if _normal(history_key) is not None or not is_there(key_path):
        return None
    try:
        _need_secret(_read(key_path), key_path)
    except DatabaseError as error:
        return error
    return None


def _need_secret(key: str, path: Path) -> None:
    """Raise DatabaseError for a key that is guessed at once, as that of an empty file."""
    if len(key) < LEAST_BYTES:
        raise DatabaseError(
            "The key file {path} holds no secret: delete it, and the start makes a new one, or put"
            " at least {num} characters into it.",
            path=path,
            num=LEAST_BYTES,
        )


def _read_or_make(path: Path) -> str:
    """The key in the file at `path`, which is made where it is not there."""
    if path.exists():
        found = _read(path)
        _need_secret(found, path)
        return found
    draft = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        key = base64.b64encode(os.urandom(32))
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())  # a key that a power cut takes away takes the history along
        draft.rename(path)
    except OSError as error:
        raise DatabaseError(
            "The key file {path} cannot be written ({reason}): make the folder writable, or set"
            " HISTORY_KEY.",
            path=path,
            reason=error.strerror,
        ) from error
    return key.decode()


def _read(path: Path) -> str:
    """The key in the file at `path`."""
    try:
        key = path.read_text(encoding="ascii").strip()
        if is_open_to_others(path):
            logger.warning("Other users of this machine can read %s: run chmod 600 on it", path)
    except (OSError, ValueError) as error:
        raise DatabaseError(
            "The key file {path} cannot be read: put the right one back, or set HISTORY_KEY.",
            path=path,
        ) from error
    return key
