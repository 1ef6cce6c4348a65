"""Small pieces that the stores share: rows to turns, scopes to columns, inserts that may repeat."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, Row, Table, and_
from sqlalchemy.dialects import postgresql, sqlite

from bot.dialogue.turn import Role, Scope, Turn
from bot.store.crypto import Cipher

Clock = Callable[[], datetime]
NOBODY = 0  # a Discord id that is never given out


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def turn_of(row: Row[Any], cipher: Cipher) -> Turn:
    """The Turn of a row that holds every column of the table."""
    return Turn(
        turn_id=row.id,
        scope=Scope(row.channel_id, row.user_id or None),
        parent_id=row.parent_id,
        role=Role(row.role),
        text=cipher.open(row.text),
        author_id=row.author_id,
        epoch=row.epoch,
        created_at=row.created_at,
        context_start_id=row.context_start_id,
    )


def scope_columns(scope: Scope) -> dict[str, int]:
    """A scope as the columns that hold it."""
    return {"channel_id": scope.channel_id, "user_id": scope.user_id or NOBODY}


def in_scope(table: Table, scope: Scope) -> ColumnElement[bool]:
    """Whether a row of `table` belongs to `scope`."""
    columns = scope_columns(scope)
    return and_(table.c.channel_id == columns["channel_id"], table.c.user_id == columns["user_id"])


def insert_new(connection: Connection, table: Table, values: Mapping[str, Any]) -> Executable:
    """INSERT that does nothing where a row of the same key stands already."""
    return _insert(connection, table).values(values).on_conflict_do_nothing()


def insert_or_replace(
    connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]
) -> Executable:
    """INSERT that puts `values` into the row that has `key` already."""
    statement = _insert(connection, table).values({**key, **values})
    return statement.on_conflict_do_update(index_elements=list(key), set_=dict(values))


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    on_sqlite = connection.dialect.name == "sqlite"
    return sqlite.insert(table) if on_sqlite else postgresql.insert(table)
