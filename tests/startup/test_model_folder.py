"""Fetching MODEL at the start: a fetch that is stopped."""

import asyncio
import signal
import sys

import pytest

from bot.startup.model_folder import _stop

STUBBORN = (
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('ready', flush=True)\n"
    "time.sleep(30)"
)


async def start(program: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )


async def test_a_child_that_is_over_already_can_be_stopped() -> None:
    child = await start("")
    await child.communicate()
    await _stop(child)
    assert child.returncode == 0


async def test_a_child_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.startup.model_folder.FETCH_STOP_SECONDS", 0.05)
    child = await start(STUBBORN)
    assert child.stdout is not None
    await child.stdout.readline()
    await _stop(child)
    assert child.returncode == -signal.SIGKILL
