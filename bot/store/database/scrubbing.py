"""Words that were deleted may still stand in the file: who remembers that, and shredding.

A row of `server_setting` says that a scrub is due, so that one that failed, or that a crash came
before, is made up for later. On PostgreSQL nothing is noted: its files are its owner's.
"""

import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, and_, delete, select

from bot.store.database.rows import NOBODY, insert_new, insert_or_replace
from bot.store.database.tables import server_setting

AGED = "aged"  # the note of words that went by themselves: no scrub is made for these alone
_BLOCK_BYTES = 1 << 20
_KEY = {"guild_id": NOBODY, "name": "scrub_due"}


def note_erased(connection: Connection) -> None:
    """In the transaction that deletes words somebody wants gone: a scrub is due."""
    if connection.dialect.name == "sqlite":
        # Always another value: a scrub that runs already must not take this note away.
        value = {"value": uuid.uuid4().hex}
        connection.execute(insert_or_replace(connection, server_setting, _KEY, value))


def note_aged(connection: Connection) -> None:
    """In the transaction that deletes what is old: the next erasure has to scrub."""
    if connection.dialect.name == "sqlite":
        insert_new(connection, server_setting, {**_KEY, "value": AGED})


def read_note(connection: Connection) -> str | None:
    """The note that stands now; None when every deleted word was scrubbed."""
    note: str | None = connection.scalar(select(server_setting.c.value).where(_is_note()))
    return note


def drop_note(connection: Connection, note: str) -> None:
    """The scrub that `note` asked for is done; a newer note stays."""
    connection.execute(delete(server_setting).where(_is_note(), server_setting.c.value == note))


def shred(path: Path) -> None:
    """Overwrite a file with zeros and remove it; one that is not there is fine.

    A file system that writes elsewhere (copy on write, flash) may keep old blocks: there only
    the encryption helps. Raises OSError.
    """
    with suppress(FileNotFoundError), path.open("r+b") as file:
        left = file.seek(0, os.SEEK_END)
        file.seek(0)
        while left > 0:
            left -= file.write(bytes(min(left, _BLOCK_BYTES)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink(missing_ok=True)


def shred_all(paths: Iterable[Path], *, older_than: datetime | None = None) -> None:
    """Shred each file that is there, or only those that were written before a moment."""
    for path in paths:
        with suppress(FileNotFoundError):
            if older_than is None or path.stat().st_mtime < older_than.timestamp():
                shred(path)


def _is_note() -> ColumnElement[bool]:
    return and_(*(server_setting.c[name] == value for name, value in _KEY.items()))
