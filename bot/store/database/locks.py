"""Locks that the death of their holder frees, however it died: a file's, and PostgreSQL's."""

import asyncio
import fcntl
import logging
import os
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.paths import OpenedFile
from bot.store.database.connect import Address, lone_engine
from bot.store.database.failures import MISTAKES, OUTAGES

logger = logging.getLogger(__name__)

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_LOCK = 7_267_016  # any number, as long as it stays: the first half of PostgreSQL's key
_TAKE = text("SELECT pg_try_advisory_lock(:lock, :shard)")
_IS_HELD = text(
    "SELECT count(*) > 0 FROM pg_locks JOIN pg_database ON pg_database.oid = database WHERE"
    " locktype = 'advisory' AND datname = current_database() AND classid = :lock AND objid = :shard"
)
_SERVER_SECONDS = 5.0


class Taken(Enum):
    """What became of an attempt to take a lock."""

    OURS = "no other process holds it"
    ANOTHERS = "a living process holds it"
    PERHAPS_ANOTHERS = "another one holds it, whose machine may have vanished"
    UNKNOWN = "it cannot be told"


class FileLock:
    """The kernel's lock on an empty file, which stays when the lock goes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._opened: OpenedFile | None = None
        self._is_told = False  # of a file that has vanished and cannot be had again

    def take(self) -> bool:
        """Whether the lock is ours now, which may be called again and again.

        A file that has vanished since, or was replaced, is locked anew, and the log says so.
        Raises OSError where the file cannot be opened for the first time.
        """
        if self._opened is None:
            return self._open()
        if self._opened.is_in_place():
            return True
        is_ours, outcome = False, "another process holds it now: does a second Banter run?"
        try:
            if is_ours := self._open():
                outcome = "it is locked anew."
        except OSError as error:
            outcome = f"it cannot be made anew ({error.strerror})."
        if is_ours or not self._is_told:
            logger.warning("The lock file %s was deleted or replaced: %s", self.path, outcome)
        self._is_told = not is_ours
        return is_ours

    def release(self) -> None:
        """Let the lock go; may be called twice."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._opened = None

    def _open(self) -> bool:
        """Lock the file that is at the path now, in the place of one that was; False if held."""
        # In a shared folder the kernel refuses O_CREAT on a file that another user made.
        flags = _FLAGS if self.path.exists() else _FLAGS | os.O_CREAT
        descriptor = os.open(self.path, flags, 0o644)
        opened = OpenedFile.of(self.path, os.fstat(descriptor))
        if not _lock(descriptor) or not opened.is_in_place():
            os.close(descriptor)
            return False
        self.release()
        self._descriptor, self._opened = descriptor, opened
        return True


def is_held(path: Path) -> bool:
    """Whether a process holds the lock on the file at `path`; makes no file."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class DatabaseLock(Protocol):
    """Proves that no other living process uses a database."""

    async def take(self) -> Taken:
        """Take the lock, or see whether it is still ours."""

    async def release(self) -> None:
        """Let it go; may be called twice."""


def lock_of(address: Address, shard: int) -> DatabaseLock:
    """The lock of a database, which lies where the database is."""
    path = lock_path_of(address)
    return _ServerLock(address, shard) if path is None else _LockBeside(path)


def lock_path_of(address: Address) -> Path | None:
    """The lock file beside a SQLite database."""
    return None if address.path is None else address.path.with_name(f"{address.path.name}.lock")


async def is_in_use(connection: AsyncConnection, address: Address, shard: int) -> bool:
    """Whether a process holds the lock of the database at `address`; takes nothing."""
    path = lock_path_of(address)
    if path is not None:
        return is_held(path)
    return bool(await connection.scalar(_IS_HELD, {"lock": _LOCK, "shard": shard}))


class _LockBeside:
    """A DatabaseLock: the kernel knows for certain whether its holder lives."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    async def take(self) -> Taken:
        try:
            is_ours = await asyncio.to_thread(self._lock.take)  # a disk may hang
        except OSError:
            return Taken.UNKNOWN
        return Taken.OURS if is_ours else Taken.ANOTHERS

    async def release(self) -> None:
        self._lock.release()


class _ServerLock:
    """A DatabaseLock: PostgreSQL frees it with the connection, which is of no other use.

    A machine that vanished without a word keeps its connection for hours.
    """

    def __init__(self, address: Address, shard: int) -> None:
        self._address = address
        self._key = {"lock": _LOCK, "shard": shard}
        self._connection: AsyncConnection | None = None

    async def take(self) -> Taken:
        try:
            async with asyncio.timeout(_SERVER_SECONDS):
                if self._connection is not None:
                    await self._connection.execute(text("SELECT 1"))
                    return Taken.OURS
                return await self._connect()
        except MISTAKES:
            raise
        except (*OUTAGES, TimeoutError):
            await self.release()
            return Taken.UNKNOWN

    async def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with suppress(*OUTAGES, TimeoutError):
            async with asyncio.timeout(_SERVER_SECONDS):
                await connection.invalidate()
                await connection.close()

    async def _connect(self) -> Taken:
        engine = lone_engine(self._address, _SERVER_SECONDS)
        # Without a transaction, which would hold up the server's own cleaning for ever.
        self._connection = await engine.execution_options(isolation_level="AUTOCOMMIT").connect()
        if await self._connection.scalar(_TAKE, self._key):
            return Taken.OURS
        await self.release()
        return Taken.PERHAPS_ANOTHERS
