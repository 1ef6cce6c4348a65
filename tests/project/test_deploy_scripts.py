"""The scripts round the bot, run with stand-ins for what they start; and the page's restore."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.errors import EXIT_RESTART, EXIT_WRONG_SETTINGS, DatabaseError
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.privacy import SqlPrivacy
from bot.store.upkeep.by_hand import backup
from bot.store.upkeep.opening import open_database
from tests.project.documents import blocks, read
from tests.project.source_tree import ROOT
from tests.store.talk import ANNA, CHANNEL, said, talk, texts

DEPLOY = ROOT / "deploy"
NAME = "banter-20261121-041700.db"
ENDS_WITH = "import sys; print('ran', *sys.argv[1:]); sys.exit({code})"
RUNS = """
import os, signal, sys
def stop(*_):
    print("stopping")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("running", "alone" if os.getsid(0) == os.getpid() else "among others", flush=True)
signal.pause()
"""


def start(
    *command: str | Path, folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code of `child` and what it printed; it does not outlive the test."""
    try:
        out, err = child.communicate(timeout=30)
    finally:
        child.kill()
    return child.returncode, out, err


# -- In a container ------------------------------------------------------------------------------


def container(folder: Path, bot: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
    """The container's program, where `python -m bot` is the program `bot`."""
    (folder / "bot.py").write_text(bot)
    script = DEPLOY / "container_start.py"
    clean = {"PYTHONPATH": "", **env}
    return start(sys.executable, script, *arguments, folder=folder, env=clean)


def test_a_container_runs_another_command_as_it_is(tmp_path: Path) -> None:
    child = container(tmp_path, ENDS_WITH.format(code=3), "db", "check")
    assert ended(child) == (3, "ran db check\n", "")


def test_a_container_ends_with_a_bot_that_has_ended_well(tmp_path: Path) -> None:
    assert ended(container(tmp_path, ENDS_WITH.format(code=0))) == (0, "ran\n", "")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_container_hands_a_stop_on_and_waits_for_the_end(
    tmp_path: Path, stop: signal.Signals
) -> None:
    """What a terminal tells its processes reaches the bot from the script alone."""
    child = container(tmp_path, RUNS)
    assert child.stdout is not None
    assert child.stdout.readline() == "running alone\n"
    child.send_signal(stop)
    assert ended(child) == (0, "stopping\n", "")


def test_a_container_with_wrong_settings_waits_for_somebody(tmp_path: Path) -> None:
    child = container(tmp_path, ENDS_WITH.format(code=EXIT_WRONG_SETTINGS))
    assert child.stderr is not None
    assert child.stderr.readline().startswith("Correct the setting, then: docker compose up")
    assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    assert ended(child)[0] == EXIT_WRONG_SETTINGS


def test_a_container_pauses_after_another_failure(tmp_path: Path) -> None:
    child = container(tmp_path, ENDS_WITH.format(code=EXIT_RESTART), RESTART_SECONDS="0")
    assert ended(child) == (EXIT_RESTART, "ran\n", "")


def test_containers_and_units_pause_alike() -> None:
    script = read(DEPLOY / "container_start.py")
    usual = re.search(r"^RESTART_SECONDS = (\d+)\.0", script, re.MULTILINE)
    assert usual
    assert f"\nRestartSec={usual[1]}\n" in read(DEPLOY / "banter@.service")
    assert f"\nEXIT_WRONG_SETTINGS = {EXIT_WRONG_SETTINGS}\n" in script


# -- A bot of the unit ---------------------------------------------------------------------------


def stand_in(folder: Path, name: str) -> dict[str, str]:
    """An environment where the program `name` prints its arguments and does nothing."""
    path = folder / name
    path.write_text('#!/bin/sh\necho "$*"\n')
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_the_short_command_runs_in_the_folder_and_as_the_user_of_the_unit(tmp_path: Path) -> None:
    env = stand_in(tmp_path, "sudo")
    words = ("main", "chat", "--once", "how are you")
    code, out, _ = ended(start(DEPLOY / "banter", *words, folder=tmp_path, env=env))
    assert code == 0
    assert out == (
        "-u banter env --chdir=/var/lib/banter/main /opt/banter/.venv/bin/python -m bot "
        "chat --once how are you\n"
    )
    unit = read(DEPLOY / "banter@.service").splitlines()
    assert {"User=banter", "WorkingDirectory=/var/lib/banter/%i"} <= set(unit)
    assert "ExecStart=/opt/banter/.venv/bin/python -m bot" in unit


def test_the_short_command_explains_itself(tmp_path: Path) -> None:
    code, out, err = ended(start(DEPLOY / "banter", "main", folder=tmp_path))
    assert (code, out) == (2, "")
    assert err.startswith("usage: banter NAME ARGUMENTS")


# -- Restore, as the page says it ----------------------------------------------------------------


def restore_commands(folder: Path) -> str:
    """The first block below the heading, for a bot in `folder` and without other users."""
    section = read(ROOT / "docs" / "operations.md").partition("\n## Restore\n")[2]
    block = blocks(section)[0]
    assert "systemctl stop" in block
    own = block.replace("/var/lib/banter/main", str(folder)).replace("/root", str(folder / "safe"))
    return re.sub(r"20\d{6}-\d{6}", "20261121-041700", own.replace("-o banter -g banter ", ""))


async def opened(data: Path) -> Database:
    """The database as the bot opens it, with the key file beside it."""
    url = f"sqlite+aiosqlite:///{data}/banter.db"
    return await open_database(url, history_key=None, key_path=data / "banter.db.key")


async def remembered(database: Database) -> list[str]:
    history = SqlHistory(database, origin="discord")
    head = await history.head(CHANNEL)
    return texts(await history.path(head.turn_id or 0, 9))


async def test_the_restore_of_the_page_brings_the_words_back(tmp_path: Path) -> None:
    env = stand_in(tmp_path, "systemctl")
    data, safe = tmp_path / "bot" / "data", tmp_path / "bot" / "safe"
    safe.mkdir(parents=True)
    database = await opened(data)
    await talk(SqlHistory(database, origin="discord"), said(1, "keep me"))
    await backup(str(database.address.url), safe / NAME)
    await SqlPrivacy(database).erase(ANNA)
    assert await remembered(database) == []
    await database.close()
    (data / "banter.db-wal").write_bytes(b"what a crash left")

    code, out, err = ended(
        start("sh", "-ec", restore_commands(data.parent), folder=tmp_path, env=env)
    )
    assert (code, err) == (0, "")
    assert out == "stop banter@main\nstart banter@main\n"
    assert {path.name for path in data.iterdir()} == {"banter.db", "banter.db.key", "old"}
    restored = await opened(data)
    assert await remembered(restored) == ["keep me", "hi"]
    await restored.close()


async def test_a_restored_backup_without_its_key_is_refused_and_unharmed(tmp_path: Path) -> None:
    database = await opened(tmp_path)
    await talk(SqlHistory(database, origin="discord"), said(1, "keep me"))
    await database.close()
    key = (tmp_path / "banter.db.key").rename(tmp_path / "elsewhere")
    with pytest.raises(DatabaseError, match="is missing: put it back"):
        await opened(tmp_path)
    key.rename(tmp_path / "banter.db.key")
    database = await opened(tmp_path)
    assert await remembered(database) == ["keep me", "hi"]
    await database.close()
