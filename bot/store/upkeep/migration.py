"""Brings a database to the schema of this code: under a lock, after a backup, or not at all."""

import asyncio
import os
from enum import Enum
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
    unfinished,
    upkeep_engine,
)
from bot.store.database.scrubbing import shred

_SCRIPTS = Path(__file__).resolve().parents[3] / "migrations"
_LOCK = 7_267_015  # any number, as long as it stays: PostgreSQL's lock of our migrations
_WAIT_SECONDS = 30.0  # for another process that migrates the same database


class Schema(Enum):
    """What the start has to do with a database."""

    ABSENT = "it makes one"
    OLDER = "it migrates it"
    CURRENT = "nothing"


async def migrate(address: Address, *, wait_seconds: float = _WAIT_SECONDS) -> bool:
    """Upgrade the database to this code's schema; False when it was there already.

    SQLite: everything happens in one IMMEDIATE transaction, which is the lock against a second
    start and leaves nothing half done. A database that holds something is first copied
    to `<file>.backup`; what a kill left of such a copy is shredded.
    Raises DatabaseError for what is no database, not ours, newer than the code, or out of reach.
    """
    make_private_file(address)
    async with upkeep_engine(address, wait_seconds) as engine:
        async with engine.connect() as connection:
            schema = await schema_of(connection, address)
        if schema is Schema.CURRENT and _leftover(address) is None:
            return False
        async with engine.execution_options(**WRITING).begin() as connection:
            return await _upgrade(connection, engine, address)


async def schema_of(connection: AsyncConnection, address: Address) -> Schema:
    """How old the schema of the database at `address` is.

    Raises DatabaseError for one that is newer than this code, or another program's.
    """
    found, wanted = await revisions(connection)
    if found == wanted:
        return Schema.CURRENT
    if found is None:
        await connection.run_sync(_refuse_foreign, address)
        return Schema.ABSENT
    if found not in {script.revision for script in _scripts().walk_revisions()}:
        raise DatabaseError(
            "The database {where} was made by a newer Banter: update Banter, or put an older"
            " backup in its place.",
            where=address,
        )
    return Schema.OLDER


async def revisions(connection: AsyncConnection) -> tuple[str | None, str | None]:
    """The schema revision of the database (None: empty), and the one of this code."""
    found = await connection.run_sync(
        lambda inner: MigrationContext.configure(inner).get_current_revision()
    )
    return found, _scripts().get_current_head()


async def copy_database(engine: AsyncEngine, target: Path) -> None:
    """Write a consistent copy of a SQLite database in use to `target`, which is replaced."""
    draft = unfinished(target)
    await asyncio.to_thread(shred, draft)
    # VACUUM INTO takes an empty file: made here, so that only its owner can read it.
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL, 0o600))
    async with engine.execution_options(**OUTSIDE).connect() as connection:
        await connection.execute(text("VACUUM INTO :target"), {"target": str(draft)})
    draft.replace(target)


def _leftover(address: Address) -> Path | None:
    """A copy that a kill left unfinished, if there is one."""
    draft = None if address.backup_path is None else unfinished(address.backup_path)
    return draft if draft is not None and draft.exists() else None


def _refuse_foreign(connection: Connection, address: Address) -> None:
    """Raise DatabaseError for a SQLite file with tables; a PostgreSQL database may be shared."""
    if address.path is not None and inspect(connection).get_table_names():
        raise DatabaseError(
            "{where} is the database of another program: set DATABASE_URL to another file.",
            where=address,
        )


async def _upgrade(connection: AsyncConnection, engine: AsyncEngine, address: Address) -> bool:
    """Take the lock, look again, and migrate; False when another start was faster."""
    if address.path is None:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    if (leftover := _leftover(address)) is not None:  # the lock is ours, so it is not being made
        await asyncio.to_thread(shred, leftover)
    schema = await schema_of(connection, address)
    if schema is Schema.CURRENT:
        return False
    if address.backup_path is not None and schema is Schema.OLDER:
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
    """Run the migrations that are missing, on this connection."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _scripts() -> ScriptDirectory:
    """The migrations of this code."""
    return ScriptDirectory(str(_SCRIPTS))
