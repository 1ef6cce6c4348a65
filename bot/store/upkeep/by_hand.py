"""What an owner does with a database from the command line."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import DatabaseError
from bot.store.database.connect import WRITING, Address, address_of, upkeep_engine
from bot.store.database.failures import DAMAGED
from bot.store.database.locks import Taken, lock_of
from bot.store.database.tables import lease
from bot.store.lease import RENEWAL_SECONDS, SHARD
from bot.store.upkeep.migration import copy_database, migrate, revisions

_WAIT_SECONDS = 5.0


async def upgrade(url: str) -> bool:
    """Bring the database to this code's schema; False when there was nothing to do."""
    return await migrate(address_of(url))


async def backup(url: str, target: Path) -> Path:
    """Copy a SQLite database, in use or not, to the new file `target`; returns its path.

    An erasure does not reach this copy: its owner has to delete it in time.
    """
    address = address_of(url)
    if address.path is None:
        raise DatabaseError("A PostgreSQL database is backed up with pg_dump.")
    _need_file(address)
    _need_new(target)
    async with upkeep_engine(address, _WAIT_SECONDS) as engine:
        await copy_database(engine, target)
    return target


async def check(url: str) -> list[DatabaseError]:
    """What is wrong with the database, as errors that are not raised; nothing: it is sound."""
    findings: list[DatabaseError] = []
    try:
        address = address_of(url)
        _need_file(address)
        async with upkeep_engine(address, _WAIT_SECONDS) as engine:
            async with engine.connect() as connection:
                findings += await _schema_findings(connection, address)
                if address.path is not None:
                    findings += await _file_findings(connection, address.path)
            await _try_to_write(engine)
    except DatabaseError as error:
        findings.append(error)
    return findings


async def release(
    url: str, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> int | None:
    """Let another application have the database; returns the one that had it, if any.

    Raises DatabaseError while a bot uses it.
    """
    address = address_of(url)
    _need_file(address)
    found = select(lease.c.application_id, lease.c.renewed_at).where(lease.c.shard == SHARD)
    lock = lock_of(address, SHARD)
    async with upkeep_engine(address, _WAIT_SECONDS) as engine:
        try:
            async with engine.connect() as connection:
                if wrong := await _schema_findings(connection, address):
                    raise wrong[0]
                row = (await connection.execute(found)).first()
            if row is None:
                return None
            taken = await lock.take()
            if taken not in {Taken.OURS, Taken.ANOTHERS}:
                await pause(2 * RENEWAL_SECONDS)  # a sign of life tells, whatever the clocks say
            async with engine.execution_options(**WRITING).begin() as connection:
                now = (await connection.execute(found)).first()
                if taken is Taken.ANOTHERS or now != row:
                    raise DatabaseError(
                        "The bot of the application {application} is using the database {where}: "
                        "stop it first.",
                        application=row.application_id,
                        where=address,
                    )
                await connection.execute(delete(lease).where(lease.c.shard == SHARD))
        finally:
            await lock.release()
    return int(row.application_id)


def _need_file(address: Address) -> None:
    """Raise DatabaseError where SQLite would have to make the file."""
    if address.path is not None and not address.path.exists():
        raise DatabaseError("There is no database {where} yet.", where=address)


def _need_new(target: Path) -> None:
    """Raise DatabaseError where the copy would replace something."""
    if target.exists():
        raise DatabaseError("{target} exists already: name a new file.", target=target)


async def _schema_findings(connection: AsyncConnection, address: Address) -> list[DatabaseError]:
    """Whether the schema is this code's."""
    found, wanted = await revisions(connection)
    if found == wanted:
        return []
    return [
        DatabaseError(
            "The database {where} has the schema {found}, this Banter has {wanted}: an older one is"
            " upgraded at the start or with `db upgrade`, a newer one needs a newer Banter.",
            where=address,
            found=found or "-",
            wanted=wanted,
        )
    ]


async def _file_findings(connection: AsyncConnection, path: Path) -> list[DatabaseError]:
    """Whether every page and every reference is sound, and the disk has room; O(file)."""
    findings = []
    damage = (await connection.scalars(text("PRAGMA integrity_check(1)"))).all()
    orphans = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
    if list(damage) != ["ok"] or orphans:
        findings.append(DatabaseError(DAMAGED, where=path))
    if _lacks_room(path):
        findings.append(
            DatabaseError(
                "The disk of the database {where} is nearly full: an erasure and a migration need"
                " twice the database's size.",
                where=path,
            )
        )
    return findings


def _lacks_room(path: Path) -> bool:
    """Whether the disk is too full to write the file anew, beside itself and its backup."""
    return shutil.disk_usage(path.parent).free < 2 * path.stat().st_size


async def _try_to_write(engine: AsyncEngine) -> None:
    """Begin to write, and take it back."""
    async with engine.execution_options(**WRITING).connect() as connection:
        await connection.execute(text("CREATE TABLE write_test (id INTEGER)"))
        await connection.rollback()
