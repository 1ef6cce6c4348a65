"""Files that a later version, or a supervisor, finds under the name they always had."""

import asyncio
import os
from pathlib import Path

from bot.settings.settings import load_settings
from bot.startup.foundation import facts_path_for, key_path_for
from bot.startup.heartbeat import heartbeat, is_alive
from bot.startup.single_instance import is_running, only_instance


def test_the_lock_of_a_token_has_the_name_that_the_version_before_locks(tmp_path: Path) -> None:
    """Under another name an old and a new bot would both answer."""
    with only_instance("token", tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == ["banter-3c469e9d6c5875d37a43.lock"]
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b""
    assert not is_running("token", tmp_path)


async def test_the_sign_of_life_is_an_empty_file_in_the_data_folder(tmp_path: Path) -> None:
    beats: asyncio.Queue[float] = asyncio.Queue()

    async def pause(seconds: float) -> None:
        beats.put_nowait(seconds)
        await asyncio.Event().wait()

    async with heartbeat(tmp_path, lambda: True, pause=pause):
        await beats.get()
        assert (tmp_path / "alive").read_bytes() == b""
        now = (tmp_path / "alive").stat().st_mtime
        assert is_alive(tmp_path, now)


def test_a_minute_is_where_a_sign_of_life_ends(tmp_path: Path) -> None:
    sign = tmp_path / "alive"
    sign.touch()
    os.utime(sign, (1000.0, 1000.0))
    ages = (0.0, 59.875, 60.0, -59.875, -60.0)
    assert [is_alive(tmp_path, 1000.0 + age) for age in ages] == [True, True, False, True, False]


def test_the_database_and_what_lies_beside_it_have_their_names(tmp_path: Path) -> None:
    url = load_settings({}, tmp_path / "none").database_url
    assert url == "sqlite+aiosqlite:///data/banter.db"
    assert key_path_for(url) == Path("data/banter.db.key")
    assert key_path_for("postgresql+asyncpg://host/name") == Path("data/history.key")
    assert facts_path_for(url) == Path("data/banter.db.facts")
    assert facts_path_for("postgresql+asyncpg://host/name") == Path("data/history.facts")
