"""Makes engines: addresses, pragmas and the way a transaction begins."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from bot.errors import DatabaseError
from bot.paths import is_there, may_write
from bot.store.database.failures import UNWRITABLE, start_failures_explained

# Only with the driver: the settings complete what people write.
_SQLITE, _POSTGRESQL = "sqlite+aiosqlite", "postgresql+asyncpg"
# How a transaction begins on SQLite, as an execution option of the engine. A deferred one that
# turns from reading to writing fails at once when another connection wrote in between
# (SQLITE_BUSY_SNAPSHOT), whatever the timeout: what writes says so from the start.
READING = {"begin": "DEFERRED"}
WRITING = {"begin": "IMMEDIATE"}
OUTSIDE = {"begin": "NONE"}  # VACUUM and checkpoints run in no transaction
NUM_CONNECTIONS = 5  # of a running bot, at most

# What is deleted is overwritten, and VACUUM keeps its copy in memory instead of another folder.
_PRIVATE = ("PRAGMA secure_delete=ON", "PRAGMA temp_store=MEMORY")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. `path` is the file of SQLite, None for PostgreSQL."""

    url: URL
    path: Path | None

    @property
    def backup_path(self) -> Path | None:
        """The copy that is made before a migration; one is kept."""
        return None if self.path is None else self.path.with_name(f"{self.path.name}.backup")

    @property
    def copies(self) -> tuple[Path, ...]:
        """Where copies of ours may lie: the backup, and one that a kill left unfinished."""
        backup = self.backup_path
        return () if backup is None else (backup, unfinished(backup))

    def __str__(self) -> str:
        return self.url.render_as_string() if self.path is None else str(self.path)


def unfinished(copy: Path) -> Path:
    """Where a copy is written before it gets its name."""
    return copy.with_name(f"{copy.name}.new")


def address_of(url: str) -> Address:
    """The parsed address; raises DatabaseError for one that Banter has no driver for."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        parsed = URL.create("unknown")
    if parsed.drivername == _POSTGRESQL:
        return Address(parsed, None)
    if parsed.drivername != _SQLITE or parsed.database in {None, "", ":memory:"}:
        raise _malformed()
    parsed = parsed.set(database=_at_home(str(parsed.database)))
    return Address(parsed, Path(str(parsed.database).removeprefix("file:")))


def _at_home(file: str) -> str:
    """The path of a file with the home folder for a `~`, as a shell would write it.

    Older versions made a folder named `~`: the history that lies in one is still found there.
    """
    return file if is_there(Path(file)) else os.path.expanduser(file)  # noqa: PTH111 (a user without a home stays a name)


def _malformed() -> DatabaseError:
    """What a person is told of an address without a driver."""
    return DatabaseError(
        "DATABASE_URL must look like sqlite+aiosqlite:///folder/file.db or"
        " postgresql+asyncpg://user:password@host/name."
    )


def make_private_file(address: Address) -> None:
    """Make SQLite's folder and an empty file only its owner can read; the WAL inherits that.

    Raises DatabaseError where that cannot be, and for a file that cannot be written: the
    thread in which aiosqlite cannot open a file may outlive the event loop, and complain.
    """
    if address.path is None:
        return
    try:
        address.path.parent.mkdir(parents=True, exist_ok=True)
        if not address.path.exists():
            os.close(os.open(address.path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise DatabaseError(
            "The database {path} cannot be made ({reason}): make its folder writable, or change"
            " DATABASE_URL.",
            path=address.path,
            reason=error.strerror,
        ) from error
    if not address.path.is_file() or not may_write(address.path):
        raise DatabaseError(UNWRITABLE, where=address)


def serving_engine(address: Address, busy_seconds: float) -> AsyncEngine:
    """The engine of a running bot; another program's lock is waited for `busy_seconds`."""
    pool: dict[str, object] = {
        "pool_size": NUM_CONNECTIONS,
        "max_overflow": 0,
        "pool_timeout": busy_seconds,
    }
    pragmas = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON")
    return _make(address, busy_seconds, pragmas, pool)


def lone_engine(address: Address, busy_seconds: float) -> AsyncEngine:
    """An engine that keeps no connection: each is its holder's own."""
    return _make(address, busy_seconds, (), {"poolclass": NullPool})


@asynccontextmanager
async def upkeep_engine(address: Address, busy_seconds: float) -> AsyncIterator[AsyncEngine]:
    """An engine that keeps no connection and may rebuild tables, until the end of the block.

    Foreign keys are off: where ALTER means "copy, drop, rename", dropping the old table would
    carry out its ON DELETE rules. The journal mode stays: the file may be another program's.
    Raises DatabaseError with a sentence for what goes wrong in the block.
    """
    pragmas = ("PRAGMA foreign_keys=OFF",)
    engine = _make(address, busy_seconds, pragmas, {"poolclass": NullPool})
    try:
        with start_failures_explained(str(address)):
            yield engine
    finally:
        await engine.dispose()


def _make(
    address: Address, busy_seconds: float, pragmas: Sequence[str], pool: Mapping[str, object]
) -> AsyncEngine:
    """An engine that executes `pragmas` on each new connection; PostgreSQL has none."""
    if address.path is None:
        return _make_postgresql(address, busy_seconds, pool)
    engine = create_async_engine(
        address.url,
        hide_parameters=True,  # an error must not carry a member's text into the log
        connect_args={"timeout": busy_seconds, "isolation_level": None},
        **pool,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in (*pragmas, *_PRIVATE):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        kind = connection.get_execution_options().get("begin", READING["begin"])
        if kind != "NONE":
            connection.exec_driver_sql(f"BEGIN {kind}")

    return engine


def _make_postgresql(
    address: Address, busy_seconds: float, pool: Mapping[str, object]
) -> AsyncEngine:
    """An engine for a server, which waits `busy_seconds` for a lock."""
    waits = {"lock_timeout": str(round(busy_seconds * 1000)), "timezone": "UTC"}
    try:
        return create_async_engine(
            address.url,
            hide_parameters=True,
            pool_pre_ping=True,  # the server may have been restarted in between
            connect_args={"timeout": 5, "command_timeout": 60, "server_settings": waits},
            **pool,
        )
    except ModuleNotFoundError as error:
        raise DatabaseError("PostgreSQL needs a driver: run `pip install asyncpg`.") from error
    except (ArgumentError, ValueError):
        raise _malformed() from None  # they may repeat the address, and it a password
