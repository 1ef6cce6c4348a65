"""Words that were deleted may still stand in the file: a note of that, and shredding.

The note is a row of `server_setting`: a scrub is due. One that failed, or that a crash came
before, is made up for later. On PostgreSQL nothing is noted: its files are its owner's.
"""

import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, delete, select

from bot.store.database.rows import NO_ID, has, insert_new, insert_or_replace
from bot.store.database.tables import server_setting

AGED = "aged"  # the note of words that went by themselves: no scrub is made for these alone
_BLOCK_BYTES = 1 << 20
_KEY = {"guild_id": NO_ID, "name": "scrub_due"}
_IS_NOTE = has(server_setting, _KEY)


def note_erased(connection: Connection) -> None:
    """A scrub is due; in the transaction that deletes words which a person wants gone."""
    if connection.dialect.name == "sqlite":
        # Always another value: a scrub that runs already must not take this note away.
        insert_or_replace(connection, server_setting, {**_KEY, "value": uuid.uuid4().hex})


def note_aged(connection: Connection) -> None:
    """The next erasure has to scrub; in the transaction that deletes what is old."""
    if connection.dialect.name == "sqlite":
        insert_new(connection, server_setting, {**_KEY, "value": AGED})


def read_note(connection: Connection) -> str | None:
    """The note that stands now; None when every deleted word was scrubbed."""
    note: str | None = connection.scalar(select(server_setting.c.value).where(_IS_NOTE))
    return note


def drop_note(connection: Connection, note: str) -> None:
    """The scrub that `note` asked for is done; a newer note stays."""
    connection.execute(delete(server_setting).where(_IS_NOTE, server_setting.c.value == note))


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
