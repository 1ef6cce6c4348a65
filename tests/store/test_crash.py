"""A process that dies in the middle of storing leaves an exchange whole or not at all."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

DYING = """
import asyncio, os, sys
from pathlib import Path
from sqlalchemy import event
from bot.store.upkeep.opening import open_database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from tests.store.talk import draft, said
from bot.answering.ports import Head, Rejected

async def main(folder, statements):
    database = await open_database(
        f"sqlite+aiosqlite:///{folder}/banter.db", history_key="off", key_path=Path(folder, "key")
    )
    await SqlInbox(database).record(said(1))
    left = [statements]

    def die(*_):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), 9)

    event.listen(database._engine.sync_engine, "before_cursor_execute", die)
    if statements > 90:
        event.listen(database._engine.sync_engine, "commit", lambda _: os.kill(os.getpid(), 9))
    rejected = (Rejected("x", {}),)
    await SqlHistory(database, origin="discord").remember(
        draft(said(1), rejected=rejected), Head()
    )
    print("remembered")

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.parametrize("statements", [1, 3, 6, 99])
def test_killed_before_the_commit_nothing_is_stored(tmp_path: Path, statements: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING, tmp_path, str(statements)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-9, ""), done.stderr
    with closing(sqlite3.connect(tmp_path / "banter.db")) as left:
        for table in ("turn", "candidate", "conversation"):
            query = f"SELECT count(*) FROM {table}"  # noqa: S608 (our own table names)
            assert left.execute(query).fetchone() == (0,)
        assert left.execute("SELECT state FROM inbox").fetchall() == [("pending",)]
        assert left.execute("PRAGMA integrity_check").fetchone() == ("ok",)
