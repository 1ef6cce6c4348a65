"""Fetching MODEL at the start: a fetch that is stopped."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from bot.settings.settings import Settings
from bot.startup.model_folder import _stop, fetch_model

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


async def test_a_terminals_signals_reach_a_fetch_through_the_bot_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, noted = tmp_path / "program", tmp_path / "noted"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, pathlib, sys\n"
        f"pathlib.Path({str(noted)!r}).write_text(str(os.getsid(0) == os.getpid()))\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    await fetch_model(Settings(model="some/model"))
    assert noted.read_text() == "True"
