"""Looks at a database without changing a byte of it: `python -m bot doctor`.

What takes long or writes, `python -m bot db check` does.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import DatabaseError
from bot.paths import is_there, may_write, nearest_folder
from bot.store.database.connect import Address, address_of, upkeep_engine
from bot.store.database.failures import DAMAGED, UNWRITABLE
from bot.store.database.locks import is_in_use
from bot.store.database.tables import lease
from bot.store.lease import SHARD
from bot.store.upkeep.keys import key_error, new_key_error
from bot.store.upkeep.migration import Schema, schema_of

_WAIT_SECONDS = 2.0  # for another program's lock
_MAX_READ = 64 * 2**20  # bytes; a larger database is not read whole


@dataclass(frozen=True, slots=True)
class Inspected:
    """What is there: `num_bytes` on the disk, and the key's own fault, if any.

    `application_id`: of the bot that uses it now.
    """

    address: Address
    schema: Schema
    num_bytes: int = 0
    key_error: DatabaseError | None = None
    application_id: int | None = None


async def inspect(url: str, *, history_key: str | None, key_path: Path) -> Inspected:
    """Look at the database at `url`; its key as `open_database` takes it.

    Raises DatabaseError: out of reach, no database, damaged, another program's, newer than this
    code, not writable.
    """
    address = address_of(url)
    path = address.path
    if path is None:
        return await _look_into(address, history_key, key_path)
    if not is_there(path):
        _need_a_folder(path)
        return Inspected(address, Schema.ABSENT, key_error=new_key_error(history_key, key_path))
    _need_writable(path)
    found = await _look_into(_unchanged(address, path), history_key, key_path)
    return replace(found, address=address, num_bytes=_size(path))


async def _look_into(address: Address, history_key: str | None, key_path: Path) -> Inspected:
    """What a connection to the database tells."""
    async with upkeep_engine(address, _WAIT_SECONDS) as engine, engine.connect() as connection:
        schema = await schema_of(connection, address)
        await _need_whole(connection, address)
        if schema is Schema.ABSENT:
            return Inspected(address, schema, key_error=new_key_error(history_key, key_path))
        wrong = await key_error(connection, history_key, key_path)
        application_id = None
        if schema is Schema.CURRENT and await is_in_use(connection, address, SHARD):
            query = select(lease.c.application_id).where(lease.c.shard == SHARD)
            application_id = await connection.scalar(query)
        return Inspected(address, schema, key_error=wrong, application_id=application_id)


async def _need_whole(connection: AsyncConnection, address: Address) -> None:
    """Raise DatabaseError for a damaged file, and for a server that may only be read."""
    if address.path is None:
        if await connection.scalar(text("SHOW transaction_read_only")) == "on":
            raise DatabaseError(
                "The database {where} may only be read: set DATABASE_URL to one that may be "
                "written, not to a standby.",
                where=address,
            )
        return
    if _size(address.path) > _MAX_READ:
        return
    if await connection.scalar(text("PRAGMA quick_check(1)")) != "ok":
        raise DatabaseError(DAMAGED, where=address)


def _unchanged(address: Address, path: Path) -> Address:
    """The address of the same file, opened so that SQLite makes no file beside it.

    Without a log the file is in no use, and `immutable` needs none; with one, everything is there
    that a reader needs.
    """
    log = _beside(path)[0]
    way = {"mode": "ro"} if log.exists() and log.stat().st_size else {"immutable": "1"}
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return Address(address.url.set(database=f"file:{quoted}", query={**way, "uri": "true"}), path)


def _beside(path: Path) -> tuple[Path, Path]:
    """The write-ahead log of a SQLite file, and its index."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def _need_a_folder(path: Path) -> None:
    """Raise DatabaseError where the file at `path` could not be made."""
    folder = nearest_folder(path)
    if not folder.is_dir() or not may_write(folder):
        raise DatabaseError(
            "The database {path} cannot be made: make the folder {folder} writable, or change"
            " DATABASE_URL.",
            path=path,
            folder=folder,
        )


def _need_writable(path: Path) -> None:
    """Raise DatabaseError where the file, its log or their folder may only be read."""
    for file in (path, *_beside(path)):
        if file.exists() and not may_write(file):
            raise DatabaseError(UNWRITABLE, where=file)
    if not may_write(path.parent):
        raise DatabaseError(UNWRITABLE, where=path)


def _size(path: Path) -> int:
    """The bytes of the file and of what lies beside it."""
    return sum(file.stat().st_size for file in (path, *_beside(path)) if file.exists())
