"""Another program that holds the database."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from bot.store.database.database import Database


@contextmanager
def held_by_another(database: Database) -> Iterator[None]:
    """Another program writes, and has not finished."""
    other = sqlite3.connect(database.address.path or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()
