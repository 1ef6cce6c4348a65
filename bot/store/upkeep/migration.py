"""Brings a database to the schema of this code: under a lock, after a backup, or not at all."""

import asyncio
import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.errors import DatabaseError
from bot.store.database.connect import (
    OUTSIDE,
    WRITING,
    Address,
    make_private_file,
    migrating_engine,
    unfinished,
)
from bot.store.database.failures import start_failures_explained
from bot.store.database.scrubbing import shred

_SCRIPTS = Path(__file__).resolve().parents[3] / "migrations"
_LOCK = 7_267_015  # any number, as long as it stays: PostgreSQL's lock of our migrations
_WAIT_SECONDS = 30.0  # for another process that migrates the same database


async def migrate(address: Address, *, wait_seconds: float = _WAIT_SECONDS) -> bool:
    """Upgrade the database to this code's schema; False when it was there already.

    SQLite: everything happens in one IMMEDIATE transaction, which is the lock against a second
    start and leaves nothing half done. A database that holds something is first copied
    to `<file>.backup`; what a kill left of such a copy is shredded.
    Raises DatabaseError for what is no database, not ours, newer than the code, or out of reach.
    """
    make_private_file(address)
    engine = migrating_engine(address, wait_seconds)
    try:
        with start_failures_explained(str(address)):
            if not await is_behind(engine, address) and _leftover(address) is None:
                return False
            async with engine.execution_options(**WRITING).begin() as connection:
                return await _upgrade(connection, engine, address)
    finally:
        await engine.dispose()


async def revisions(connection: AsyncConnection) -> tuple[str | None, str | None]:
    """The schema revision of the database (None: empty), and the one of this code."""
    return await connection.run_sync(_current), _scripts().get_current_head()


async def copy_database(engine: AsyncEngine, target: Path) -> None:
    """Write a consistent copy of a SQLite database in use to `target`, which is replaced."""
    draft = unfinished(target)
    await asyncio.to_thread(shred, draft)
    _make_empty(draft)
    async with engine.execution_options(**OUTSIDE).connect() as connection:
        await connection.execute(text("VACUUM INTO :target"), {"target": str(draft)})
    draft.replace(target)


def _make_empty(path: Path) -> None:
    # VACUUM INTO takes an empty file: made here, so that only its owner can read it.
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _leftover(address: Address) -> Path | None:
    draft = None if address.backup_path is None else unfinished(address.backup_path)
    return draft if draft is not None and draft.exists() else None


async def is_behind(engine: AsyncEngine, address: Address) -> bool:
    """Whether this code has a newer schema than the database, which may be empty.

    Raises DatabaseError for one that is newer than this code, or another program's.
    """
    async with engine.connect() as connection:
        found, wanted = await revisions(connection)
        if found is None:
            await connection.run_sync(_refuse_foreign, address)
        elif found not in {script.revision for script in _scripts().walk_revisions()}:
            raise DatabaseError(
                "The database {where} was made by a newer Banter: update Banter, or put an older"
                " backup in its place.",
                where=address,
            )
        return found != wanted


def _refuse_foreign(connection: Connection, address: Address) -> None:
    # In PostgreSQL a database may well be shared with others.
    if address.path is not None and inspect(connection).get_table_names():
        raise DatabaseError(
            "{where} is the database of another program: set DATABASE_URL to another file.",
            where=address,
        )


async def _upgrade(connection: AsyncConnection, engine: AsyncEngine, address: Address) -> bool:
    if address.path is None:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if (leftover := _leftover(address)) is not None:  # nobody else makes one: we have the lock
        await asyncio.to_thread(shred, leftover)
    found, wanted = await revisions(connection)
    if found == wanted:
        return False  # another start was faster
    if address.backup_path is not None and found is not None:
        await copy_database(engine, address.backup_path)
    await connection.run_sync(_run_scripts)
    if address.path is not None:
        broken = (await connection.execute(text("PRAGMA foreign_key_check"))).first()
        if broken is not None:
            raise DatabaseError(
                "The database {where} holds rows that belong to nothing (table {table}): put a"
                " backup in its place.",
                where=address,
                table=broken[0],
            )
    return True


def _run_scripts(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_SCRIPTS))
