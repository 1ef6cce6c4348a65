"""The sign of life: what supervisors are told of a bot that is there, away, or stuck."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import pytest

from bot.settings.settings import DATA_FOLDER
from bot.startup.heartbeat import (
    BEAT_SECONDS,
    FOLDER,
    LOOK_SECONDS,
    NAME,
    PATIENCE_SECONDS,
    heartbeat,
    is_alive,
)
from tests.project.source_tree import everywhere, imported

NOON = 1_800_000_000.0


class Pause:
    """A pause between two beats that the test ends."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[float] = asyncio.Queue()
        self._ends = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        self.begun.put_nowait(seconds)
        await self._ends.acquire()

    async def next(self) -> float:
        """End this pause and wait for the next one; its length."""
        self._ends.release()
        return await self.begun.get()


def touched(folder: Path, at: float) -> Path:
    sign = folder / NAME
    sign.touch()
    os.utime(sign, (at, at))
    return sign


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0.0, True),
        (BEAT_SECONDS, True),
        (PATIENCE_SECONDS - 1, True),
        (PATIENCE_SECONDS + 1, False),
        (86_400.0, False),
        (-1.0, True),
        (-3600.0, False),  # the clock was put back, and nothing has touched it since
    ],
)
def test_a_sign_counts_for_a_minute(tmp_path: Path, age: float, expected: bool) -> None:
    touched(tmp_path, NOON)
    assert is_alive(tmp_path, NOON + age) is expected


def test_without_a_sign_nobody_is_alive(tmp_path: Path) -> None:
    assert not is_alive(tmp_path, NOON)
    assert not is_alive(tmp_path / "nowhere", NOON)


async def test_the_sign_is_touched_again_and_again_and_goes_at_the_end(tmp_path: Path) -> None:
    folder, pause = tmp_path / "data", Pause()
    async with heartbeat(folder, lambda: True, pause=pause):
        assert await pause.begun.get() == BEAT_SECONDS
        sign = touched(folder, NOON)
        assert await pause.next() == BEAT_SECONDS
        assert sign.stat().st_mtime != NOON
    assert list(folder.iterdir()) == []


async def test_a_bot_that_is_not_on_discord_gives_no_sign_and_looks_soon(tmp_path: Path) -> None:
    is_connected, pause = False, Pause()
    async with heartbeat(tmp_path, lambda: is_connected, pause=pause):
        assert await pause.begun.get() == LOOK_SECONDS
        assert list(tmp_path.iterdir()) == []
        is_connected = True
        assert await pause.next() == BEAT_SECONDS
        sign = touched(tmp_path, NOON)
        is_connected = False
        assert await pause.next() == LOOK_SECONDS
        assert sign.stat().st_mtime == NOON


async def test_a_block_that_fails_takes_its_sign_along(tmp_path: Path) -> None:
    async def fail() -> None:
        pause = Pause()
        async with heartbeat(tmp_path, lambda: True, pause=pause):
            await pause.begun.get()
            assert (tmp_path / NAME).exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not (tmp_path / NAME).exists()


async def test_a_folder_that_cannot_be_written_is_told_once_and_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, pause = tmp_path / "data", Pause()
    folder.touch()  # a file where the folder should be
    with caplog.at_level(logging.WARNING):
        async with heartbeat(folder, lambda: True, pause=pause):
            await pause.begun.get()
            await pause.next()
            (line,) = caplog.messages
            assert str(folder / NAME) in line
            folder.unlink()
            await pause.next()
            assert (folder / NAME).exists()
    assert len(caplog.messages) == 1


def test_the_question_is_answered_at_once() -> None:
    """It is asked every half minute: no library may be loaded for it."""
    (module,) = everywhere("bot.startup.heartbeat")
    roots = {name.partition(".")[0] for name, _ in imported(module)}
    assert roots <= sys.stdlib_module_names
    assert FOLDER == DATA_FOLDER
    assert 2 * BEAT_SECONDS < PATIENCE_SECONDS
