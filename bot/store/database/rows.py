"""Small pieces that the stores share: rows to turns, scopes to columns, inserts that may repeat."""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Executable,
    Row,
    Table,
    and_,
    bindparam,
)
from sqlalchemy.dialects import postgresql, sqlite

from bot.dialogue.turn import Role, Scope, Turn
from bot.store.database.crypto import Cipher
from bot.store.database.tables import turn

T = TypeVar("T")
NO_ID = 0  # Discord gives this id to nothing


# What a Turn is made of; the rest of the table is wide, and reading a path does not need it.
TURN_COLUMNS = (
    turn.c.id,
    turn.c.channel_id,
    turn.c.user_id,
    turn.c.parent_id,
    turn.c.role,
    turn.c.text,
    turn.c.author_id,
    turn.c.epoch,
    turn.c.created_at,
    turn.c.context_start_id,
)


def turn_of(row: Row[Any], cipher: Cipher) -> Turn:
    """The Turn of a row of TURN_COLUMNS."""
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
    return {"channel_id": scope.channel_id, "user_id": scope.user_id or NO_ID}


def has(table: Table, values: Mapping[str, Any]) -> ColumnElement[bool]:
    """Whether the columns of a row of `table` have these values."""
    return and_(*(table.c[name] == value for name, value in values.items()))


def parameter(name: str, column: ColumnElement[T]) -> BindParameter[T]:
    """A parameter of a statement that holds a value of `column`."""
    return bindparam(name, type_=column.type)


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one of its key stands already; whether it is new."""
    statement = _new_row(connection.dialect.name, table)
    return connection.execute(statement, dict(row)).rowcount == 1


def insert_or_replace(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or put its values into the row of the same primary key."""
    key = [column.name for column in table.primary_key]
    values = {name: value for name, value in row.items() if name not in key}
    statement = _insert(connection.dialect.name, table).values(dict(row))
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values))


@cache  # making a statement costs more than executing it
def _new_row(dialect: str, table: Table) -> Executable:
    """The statement of insert_new."""
    return _insert(dialect, table).on_conflict_do_nothing()


def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """INSERT as the dialect writes it: both have ON CONFLICT, and SQLAlchemy has no common one."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
