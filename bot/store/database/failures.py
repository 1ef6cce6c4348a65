"""What went wrong below us: an outage that passes, or a sentence for the start."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from bot.errors import DatabaseError, StoreUnavailableError
from bot.texts import mark

# Our own mistakes, which must be seen: everything else that a database raises is an outage.
MISTAKES = (exc.IntegrityError, exc.ProgrammingError, exc.DataError, exc.NotSupportedError)
# asyncpg's network errors come as OSError, a waited-out pool as TimeoutError, and SQLite's
# complaints while a connection is set up without SQLAlchemy's wrapping.
OUTAGES = (exc.DBAPIError, exc.TimeoutError, sqlite3.DatabaseError, OSError)

DAMAGED = mark("The database {where} is damaged: put a backup in its place.")
UNWRITABLE = mark("The database {where} cannot be written: make the file and its folder writable.")
_UNUSABLE = mark("The database {where} cannot be used: {reason}.")
_HELD = mark("Another program holds the database {where}: stop that one first.")
_OF_SQLITE = {
    sqlite3.SQLITE_NOTADB: mark(
        "{where} is not a database: set DATABASE_URL to another file, or move this one away."
    ),
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_READONLY: UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: UNWRITABLE,
    sqlite3.SQLITE_PERM: UNWRITABLE,
    sqlite3.SQLITE_FULL: mark("The disk of the database {where} is full: make room on it."),
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
}
_UNREACHABLE = mark(
    "The database {where} cannot be reached ({reason}): start its server, or correct the host and "
    "the port in DATABASE_URL."
)
_REFUSED = mark(
    "The database {where} cannot be used ({reason}): correct the user, the password or the name of "
    "the database in DATABASE_URL."
)
# What PostgreSQL answers to a wrong user or password, and to the name of no database:
# https://www.postgresql.org/docs/current/errcodes-appendix.html, classes 28 and 3D
_REFUSALS = ("28", "3D")


@contextmanager
def outages_translated() -> Iterator[None]:
    """Raise StoreUnavailableError for a database that is locked, full, read-only or away."""
    try:
        yield
    except MISTAKES:
        raise
    except OUTAGES as error:
        raise StoreUnavailableError from error


@contextmanager
def start_failures_explained(where: str) -> Iterator[None]:
    """Raise DatabaseError with a sentence when the database `where` cannot be opened."""
    try:
        yield
    except OUTAGES as error:
        sentence, reason = _sentence_of(error, where), reason_of(error).rstrip(".")
        raise DatabaseError(sentence, where=where, reason=reason) from error


def reason_of(error: BaseException) -> str:
    """The driver's own words: never SQL and never parameters, which may hold a text."""
    if isinstance(error, exc.TimeoutError):  # SQLAlchemy speaks of its pool, and of a web page
        return "no connection was free in time"
    origin = _origin_of(error)
    return str(origin) or type(origin).__name__


def _origin_of(error: BaseException) -> BaseException:
    """The driver's error behind SQLAlchemy's."""
    return error.orig if isinstance(error, exc.DBAPIError) and error.orig else error


def _sentence_of(error: BaseException, where: str) -> str:
    """`where` is the path of a SQLite file, or the address of a PostgreSQL server."""
    origin = _origin_of(error)
    if "://" not in where:
        code = getattr(origin, "sqlite_errorcode", 0) & 0xFF  # the low byte; the rest is detail
        return _OF_SQLITE.get(code, _UNUSABLE)
    if isinstance(origin, OSError):  # asyncpg's, for what never reached the server
        return _UNREACHABLE
    is_refused = str(getattr(origin, "sqlstate", "")).startswith(_REFUSALS)
    return _REFUSED if is_refused else _UNUSABLE
