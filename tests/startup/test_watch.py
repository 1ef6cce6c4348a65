"""What a running bot sees of the files and the rows that make it the only one."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from bot.paths import OpenedFile
from bot.startup.single_instance import is_running, only_instance
from bot.startup.watch import LOOK_SECONDS, Loss, Watch
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.lease import SqlLease
from bot.store.upkeep.opening import open_database

TOKEN = "token"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path}/banter.db"
    opened = await open_database(url, history_key="off", key_path=tmp_path / "key")
    yield opened
    await opened.close()


class Running:
    """A bot that holds a token, a database and its lease; its watch pauses for no time."""

    def __init__(self, database: Database) -> None:
        self.pauses: list[float] = []
        assert database.address.path is not None
        self.path = database.address.path
        self.file = OpenedFile.of(self.path, self.path.stat())
        self.lease = SqlLease(database)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
async def running(database: Database) -> AsyncIterator[Running]:
    bot = Running(database)
    await bot.lease.acquire(1)
    yield bot
    await bot.lease.close()


def watch_of(bot: Running, *locks: object) -> Watch:
    return Watch(locks=locks, file=bot.file, lease=bot.lease, pause=bot.pause)  # type: ignore[arg-type]


async def test_locks_that_are_cleaned_away_are_there_again_after_the_next_look(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    with only_instance(TOKEN, folder) as locks:
        watch = watch_of(running, *locks)
        (beside,) = tmp_path.glob("*.lock")
        assert beside.name == "banter.db.lock"
        for path in (*folder.iterdir(), beside):
            path.unlink()
        assert not is_running(TOKEN, folder)
        with caplog.at_level(logging.WARNING):
            assert await watch.look() is None
            assert await watch.look() is None
        assert is_running(TOKEN, folder)
        assert beside.exists()
        assert len([one for one in caplog.messages if "it is locked anew" in one]) == 2


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_database_file_that_vanishes_ends_the_bot(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture, is_replaced: bool
) -> None:
    watch = watch_of(running)
    assert await watch.look() is None
    copy = tmp_path / "copy.db"
    copy.write_bytes(running.path.read_bytes())
    running.path.unlink()
    if is_replaced:
        copy.replace(running.path)
    with caplog.at_level(logging.CRITICAL):
        assert await watch.run() is Loss.FILE
    assert caplog.messages == [Loss.FILE.value]
    assert running.pauses == [LOOK_SECONDS]


async def test_a_lease_that_another_process_took_ends_the_bot(
    running: Running, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await database.execute(update(tables.lease).values(holder="another"))
    with caplog.at_level(logging.CRITICAL):
        assert await watch_of(running).run() is Loss.LEASE
    assert caplog.messages == [Loss.LEASE.value]


async def test_what_goes_wrong_in_a_look_does_not_end_the_looking(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        num_looks = 0

        def take(self) -> bool:
            self.num_looks += 1
            if self.num_looks == 1:
                raise ZeroDivisionError
            running.path.unlink()
            return True

    assert await watch_of(running, Broken()).run() is Loss.FILE
    assert len(running.pauses) == 2
    assert "It could not be seen" in caplog.text
