"""What went wrong below us: an outage that passes, or a sentence for the start."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from bot.errors import DatabaseError, StoreUnavailableError

# Our own mistakes, which must be seen: everything else that a database raises is an outage.
MISTAKES = (exc.IntegrityError, exc.ProgrammingError, exc.DataError, exc.NotSupportedError)
# asyncpg's network errors come as OSError, a waited-out pool as TimeoutError, and SQLite's
# complaints while a connection is set up without SQLAlchemy's wrapping.
OUTAGES = (
    exc.DBAPIError,
    exc.TimeoutError,
    sqlite3.OperationalError,
    sqlite3.DatabaseError,
    OSError,
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


def reason_of(error: BaseException) -> str:
    """The driver's own words: never SQL and never parameters, which may hold a text."""
    if isinstance(error, exc.TimeoutError):  # SQLAlchemy speaks of its pool, and of a web page
        return "no connection was free in time"
    origin = error.orig if isinstance(error, exc.DBAPIError) and error.orig else error
    return str(origin) or type(origin).__name__


@contextmanager
def start_failures_explained(where: str) -> Iterator[None]:
    """Raise DatabaseError with a sentence when the database `where` cannot be opened."""
    try:
        yield
    except OUTAGES as error:
        is_server = "://" in where  # a file is told by its path
        raise (_sentence_of_server if is_server else _sentence)(error, where) from error


def unwritable(where: str) -> DatabaseError:
    """What a person is told of a file that the bot may read only."""
    return DatabaseError(
        "The database {where} cannot be written: make the file and its folder writable.",
        where=where,
    )


def _sentence(error: Exception, where: str) -> DatabaseError:
    origin = error.orig if isinstance(error, exc.DBAPIError) and error.orig else error
    code = getattr(origin, "sqlite_errorcode", 0) & 0xFF  # the low byte; the rest is detail
    match code:
        case sqlite3.SQLITE_NOTADB:
            return DatabaseError(
                "{where} is not a database: set DATABASE_URL to another file, or move this one"
                " away.",
                where=where,
            )
        case sqlite3.SQLITE_CORRUPT:
            return DatabaseError(
                "The database {where} is damaged: put a backup in its place.", where=where
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return unwritable(where)
        case sqlite3.SQLITE_FULL:
            return DatabaseError(
                "The disk of the database {where} is full: make room on it.", where=where
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DatabaseError(
                "Another program holds the database {where}: stop that one first.", where=where
            )
        case _:
            return DatabaseError(
                "The database {where} cannot be used: {reason}.",
                where=where,
                reason=reason_of(error).rstrip("."),
            )


def _sentence_of_server(error: Exception, where: str) -> DatabaseError:
    """Of PostgreSQL, whose driver raises OSError for what never reached it."""
    origin = error.orig if isinstance(error, exc.DBAPIError) and error.orig else error
    told = {"where": where, "reason": reason_of(error).rstrip(".")}
    if isinstance(origin, OSError):
        return DatabaseError(
            "The database {where} cannot be reached ({reason}): start its server, or correct the "
            "host and the port in DATABASE_URL.",
            **told,
        )
    if str(getattr(origin, "sqlstate", "")).startswith(_REFUSALS):
        return DatabaseError(
            "The database {where} cannot be used ({reason}): correct the user, the password or the "
            "name of the database in DATABASE_URL.",
            **told,
        )
    return DatabaseError("The database {where} cannot be used: {reason}.", **told)
