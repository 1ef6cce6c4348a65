"""Moments in time keep their zone, and every foreign key has an index."""

from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import UniqueConstraint
from sqlalchemy.exc import StatementError

from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.inbox import SqlInbox
from tests.store.talk import NOON, rows, said


async def test_a_moment_of_another_zone_is_stored_in_utc(
    database: Database, inbox: SqlInbox
) -> None:
    seoul = timezone(timedelta(hours=9))
    await inbox.record(said(1, created_at=NOON.astimezone(seoul)))
    (row,) = await rows(database, tables.inbox)
    assert row["created_at"] == NOON
    assert row["created_at"].utcoffset() == timedelta(0)


async def test_a_moment_without_a_zone_is_a_mistake(inbox: SqlInbox) -> None:
    with pytest.raises(StatementError, match="without a time zone"):
        await inbox.record(said(1, created_at=datetime(2026, 1, 1)))  # noqa: DTZ001 (on purpose)


def test_every_foreign_key_is_indexed() -> None:
    """Deleting a turn looks for what refers to it: without an index, through the whole table."""
    for table in tables.METADATA.tables.values():
        leading = {next(iter(index.columns)).name for index in table.indexes}
        unique = [key for key in table.constraints if isinstance(key, UniqueConstraint)]
        leading |= {next(iter(key.columns)).name for key in unique}
        for column in table.columns:
            if column.foreign_keys:
                assert column.name in leading, f"{table.name}.{column.name}"


def test_every_discord_id_has_64_bits() -> None:
    for table in tables.METADATA.tables.values():
        for column in table.columns:
            if column.name.endswith(("_id", "_by")):
                assert "INTEGER" not in str(column.type), f"{table.name}.{column.name}"
