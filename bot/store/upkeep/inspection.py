"""Looks at a database without changing a byte of it: `python -m bot doctor`.

What takes long or writes, `python -m bot db check` does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import DatabaseError
from bot.paths import is_there, may_write, nearest_folder
from bot.store.database.connect import Address, address_of, migrating_engine
from bot.store.database.failures import start_failures_explained, unwritable
from bot.store.upkeep.keys import check_key
from bot.store.upkeep.migration import is_behind, revisions

_WAIT_SECONDS = 2.0  # for a lock of somebody else
_MAX_READ = 64 * 2**20  # bytes; a larger database is not read whole


class Schema(Enum):
    """What the start has to do with a database."""

    ABSENT = "it makes one"
    OLDER = "it migrates it"
    CURRENT = "nothing"


@dataclass(frozen=True, slots=True)
class Inspected:
    """What is there: `num_bytes` on the disk, and the key's own fault, if any."""

    address: Address
    schema: Schema
    num_bytes: int = 0
    key_error: DatabaseError | None = None


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
        return Inspected(address, Schema.ABSENT)
    _need_writable(path)
    found = await _look_into(_unchanged(address, path), history_key, key_path)
    return Inspected(address, found.schema, _size(path), found.key_error)


async def _look_into(address: Address, history_key: str | None, key_path: Path) -> Inspected:
    engine = migrating_engine(address, _WAIT_SECONDS)
    try:
        with start_failures_explained(str(address)):
            behind = await is_behind(engine, address)
            async with engine.connect() as connection:
                await _need_whole(connection, address)
                found, _ = await revisions(connection)
                if found is None:
                    return Inspected(address, Schema.ABSENT)
                key_error = await _key_error(connection, history_key, key_path)
    finally:
        await engine.dispose()
    return Inspected(address, Schema.OLDER if behind else Schema.CURRENT, key_error=key_error)


async def _key_error(
    connection: AsyncConnection, history_key: str | None, key_path: Path
) -> DatabaseError | None:
    try:
        await check_key(connection, history_key, key_path)
    except DatabaseError as error:
        return error
    return None


async def _need_whole(connection: AsyncConnection, address: Address) -> None:
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
        raise DatabaseError(
            "The database {where} is damaged: put a backup in its place.", where=address
        )


def _unchanged(address: Address, path: Path) -> Address:
    """The address of the same file, opened so that SQLite makes no file beside it.

    Without a log nobody has it open, and `immutable` needs none; with one, everything is there
    that a reader needs.
    """
    log = _beside(path)[0]
    way = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    quoted = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    name, _, value = way.partition("=")
    url = address.url.set(database=f"file:{quoted}", query={name: value, "uri": "true"})
    return Address(url, path)


def _beside(path: Path) -> tuple[Path, Path]:
    """The write-ahead log of a SQLite file, and its index."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def _need_a_folder(path: Path) -> None:
    folder = nearest_folder(path)
    if not folder.is_dir() or not may_write(folder):
        raise DatabaseError(
            "The database {path} cannot be made: make the folder {folder} writable, or change"
            " DATABASE_URL.",
            path=path,
            folder=folder,
        )


def _need_writable(path: Path) -> None:
    for file in (path, *_beside(path)):
        if file.exists() and not may_write(file):
            raise unwritable(str(file))
    if not may_write(path.parent):
        raise unwritable(str(path))


def _size(path: Path) -> int:
    return sum(_sizes(path))


def _sizes(path: Path) -> Iterator[int]:
    for file in (path, *_beside(path)):
        if file.exists():
            yield file.stat().st_size
