"""What an owner does with a database from the command line."""

import shutil
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import DatabaseError
from bot.store.database.connect import WRITING, Address, address_of, migrating_engine
from bot.store.database.failures import start_failures_explained
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
    engine = migrating_engine(address, _WAIT_SECONDS)
    try:
        with start_failures_explained(str(address)):
            await copy_database(engine, target)
    finally:
        await engine.dispose()
    return target


async def check(url: str) -> list[DatabaseError]:
    """What is wrong with the database, as errors that are not raised; nothing: it is sound."""
    try:
        address = address_of(url)
        _need_file(address)
        engine = migrating_engine(address, _WAIT_SECONDS)
    except DatabaseError as error:
        return [error]
    findings: list[DatabaseError] = []
    try:
        with start_failures_explained(str(address)):
            async with engine.connect() as connection:
                findings += await _schema_findings(connection, address)
                if address.path is not None:
                    findings += await _file_findings(connection, address)
            await _try_to_write(engine)
    except DatabaseError as error:
        findings.append(error)
    finally:
        await engine.dispose()
    return findings


def _need_file(address: Address) -> None:
    if address.path is not None and not address.path.exists():
        raise DatabaseError("There is no database {where} yet.", where=address)


def _need_new(target: Path) -> None:
    if target.exists():
        raise DatabaseError("{target} exists already: name a new file.", target=target)


async def _schema_findings(connection: AsyncConnection, address: Address) -> list[DatabaseError]:
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


async def _file_findings(connection: AsyncConnection, address: Address) -> list[DatabaseError]:
    findings = []
    damage = (await connection.scalars(text("PRAGMA integrity_check(1)"))).all()
    orphans = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
    if list(damage) != ["ok"] or orphans:
        findings.append(
            DatabaseError(
                "The database {where} is damaged: put a backup in its place.", where=address
            )
        )
    size = address.path.stat().st_size if address.path else 0
    if address.path and shutil.disk_usage(address.path.parent).free < 2 * size:
        findings.append(
            DatabaseError(
                "The disk of the database {where} is nearly full: an erasure and a migration need"
                " twice the database's size.",
                where=address,
            )
        )
    return findings


async def _try_to_write(engine: AsyncEngine) -> None:
    async with engine.execution_options(**WRITING).connect() as connection:
        await connection.execute(text("CREATE TABLE write_test (id INTEGER)"))
        await connection.rollback()
