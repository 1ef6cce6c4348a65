"""The database goes away under a running bot: it answers without memory, and says so once."""

import sqlite3
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bot.errors import EXIT_RESTART, StoreUnavailableError
from tests.discord_server.bot_process import BotProcess
from tests.whole_bot.home import Home

DISK_KIB = 1024
QUICK = {"MAX_NEW_TOKENS": "8"}


async def check_memory_is_back(home: Home, bot: BotProcess, remembered: int) -> None:
    """Two more messages are remembered, the second after the first; the log told of both ends."""
    again = home.say("remembered again")
    await home.reply_to(again)
    last = home.say("and this")
    await home.reply_to(last)
    assert (await bot.terminate()).exit_code == 0
    said = home.rows("SELECT source_message_id FROM turn WHERE role = 'user' ORDER BY id")
    assert said == [(remembered,), (again,), (last,)]
    first, second, third = home.prompts()
    assert first[1] == second[1] == third[1]
    assert first[2] < second[2] < third[2]
    told = [line for line in bot.stderr.splitlines() if "The database can" in line]
    assert len(told) == 2, told
    assert told[1].endswith("The database can be written again")
    assert "Traceback" not in bot.stderr


async def test_while_the_database_is_locked_the_bot_answers_without_memory(home: Home) -> None:
    async with await home.start(QUICK) as bot:
        remembered = home.say("remembered")
        await home.reply_to(remembered)
        with closing(sqlite3.connect(home.folder / "data" / "banter.db")) as thief:
            thief.isolation_level = None
            thief.execute("BEGIN EXCLUSIVE")
            lost = home.say("not remembered")
            command = home.server.interact("reset", channel=home.general, member=home.ada)
            await home.reply_to(lost)
            assert (await command.answer()).content == StoreUnavailableError.sentence
            assert not command.was_late
        await check_memory_is_back(home, bot, remembered)
    (trouble,) = [line for line in bot.stderr.splitlines() if " ERROR " in line]
    assert "The database cannot be written: " in trouble
    assert trouble.endswith(("database is locked", "(does another program hold it?)"))


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own at `folder`, for the time of the test."""
    folder.mkdir()
    size = f"size={DISK_KIB}k"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free on the disk of `folder`; the file that does."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        deque(iter(lambda: file.write(bytes(4096)), 0), maxlen=0)
    return filler


async def test_while_the_disk_is_full_the_bot_answers_without_memory(home: Home) -> None:
    with small_disk(home.folder / "data"):
        async with await home.start(QUICK) as bot:
            remembered = home.say("remembered")
            await home.reply_to(remembered)
            filler = fill(home.folder / "data")
            for number in range(5):
                await home.talk(f"not remembered {number}")
            filler.unlink()
            await check_memory_is_back(home, bot, remembered)
        assert "The database cannot be written: database or disk is full" in bot.stderr


# As after an illegal access: every call to the device fails from the first reply on.
BREAK = """
import sys
from bot.__main__ import main
from bot.engine.batching.runner import Runner

def fail(self, num_runs):
    raise RuntimeError("CUDA error: device-side assert triggered")

Runner.step = fail
sys.exit(main([]))
"""


async def test_a_device_that_fails_for_good_ends_the_bot_and_the_next_start_answers(
    home: Home,
) -> None:
    other = home.server.add_channel(home.guild, "other")
    env = {**home.env, **QUICK}
    bot = await BotProcess.start(home.server, folder=home.folder, env=env, arguments=("-c", BREAK))
    async with bot:
        await bot.ready()
        asked = [home.say("hello"), home.say("and I"), home.say("me too", channel=other)]
        assert (await bot.ended()).exit_code == EXIT_RESTART
    assert home.server.replies(home.general) == home.server.replies(other) == []
    assert bot.stderr.count(" CRITICAL ") == 1
    assert "Traceback" not in bot.stderr
    home.num_starts = 1
    async with await home.start(QUICK) as healthy:
        for message_id, channel in zip(asked, (home.general, home.general, other), strict=True):
            await home.reply_to(message_id, channel)
        await home.talk("thank you")
        assert (await healthy.terminate()).exit_code == 0
    assert [len(home.server.replies(one)) for one in (home.general, other)] == [3, 1]
