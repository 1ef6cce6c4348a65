"""The database, its key and its disk: looked at without changing a byte."""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.store.lease import SqlLease
from bot.store.upkeep.opening import open_database
from tests.doctor.patient import NOBODY, Patient, as_an_ordinary_user


async def make_database(folder: Path, history_key: str | None = None) -> Path:
    """What a start leaves in `folder`."""
    path = folder / "data" / "banter.db"
    key_path = path.with_name("banter.db.key")
    url = f"sqlite+aiosqlite:///{path}"
    await (await open_database(url, history_key=history_key, key_path=key_path)).close()
    return path


@pytest.fixture
async def path(lonely: Patient) -> Path:
    return await make_database(lonely.folder)


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


async def test_a_database_that_is_not_there_yet_is_fine(lonely: Patient) -> None:
    found = await lonely.examine()
    found.the("ok", "There is no database data/banter.db yet: the start makes it.")
    assert list(lonely.folder.iterdir()) == []


async def test_a_tilde_in_the_address_is_the_home_folder(
    lonely: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(lonely.folder))
    found = await lonely.examine(DATABASE_URL="sqlite:///~/data/banter.db")
    found.the("ok", f"There is no database {lonely.folder}/data/banter.db yet")


async def test_an_empty_key_file_of_a_new_database_is_told(lonely: Patient) -> None:
    (lonely.folder / "data").mkdir()
    (lonely.folder / "data" / "banter.db.key").touch()
    found = await lonely.examine()
    found.the("fault", "The key file data/banter.db.key holds no secret: delete it")


@pytest.mark.usefixtures("path")
async def test_a_database_in_good_health(lonely: Patient) -> None:
    found = await lonely.examine()
    found.the("ok", "The database data/banter.db can be read and written, and is up to date.")
    found.the("ok", "The key file data/banter.db.key is there")
    found.the("ok", f"The disk of {lonely.folder}/data has ")


async def test_a_database_in_use_is_read_with_its_log(lonely: Patient, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as bot:
        bot.execute("UPDATE alembic_version SET version_num = '9999'")
        assert path.with_name("banter.db-wal").stat().st_size
        found = await lonely.examine()
    found.the("fault", "made by a newer Banter")


async def test_a_bot_that_uses_the_database_is_named(lonely: Patient, path: Path) -> None:
    database = await open_database(
        f"sqlite+aiosqlite:///{path}", history_key=None, key_path=path.with_name("banter.db.key")
    )
    lease = SqlLease(database)
    await lease.acquire(77)
    found = await lonely.examine()
    await lease.close()
    await database.close()
    found.the("ok", "The bot of the application 77 is using the database data/banter.db now.")


def newer(path: Path) -> None:
    change(path, "UPDATE alembic_version SET version_num = '9999'")


def foreign(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE bookmarks (id INTEGER)")


def shopping_list(path: Path) -> None:
    path.write_text("bread, milk, and a good book " * 100)


def damaged(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xaa" * (len(whole) - 8192))


def in_the_way(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.touch()


def without_key(path: Path) -> None:
    path.with_name("banter.db.key").unlink()


def with_another_key(path: Path) -> None:
    path.with_name("banter.db.key").write_text("of another database")


@pytest.mark.parametrize(
    ("hurt", "words", "mend"),
    [
        (newer, "made by a newer Banter", "update Banter"),
        (foreign, "the database of another program", "set DATABASE_URL to another file"),
        (shopping_list, "is not a database", "set DATABASE_URL to another file"),
        (damaged, "is damaged", "put a backup in its place"),
        (in_the_way, "cannot be made", "change DATABASE_URL"),
        (without_key, "is missing", "put it back, or set HISTORY_KEY"),
        (with_another_key, "does not fit the history", "put the right one back"),
    ],
    ids=lambda hurt: getattr(hurt, "__name__", ""),
)
async def test_what_would_stop_the_start_is_told(
    lonely: Patient, path: Path, hurt: Callable[[Path], None], words: str, mend: str
) -> None:
    hurt(path)
    found = await lonely.examine()
    (line,) = found.marked("fault")
    assert words in line
    assert mend in line
    assert found.exit_code == 69


async def test_a_wrong_key_in_the_settings_is_told(lonely: Patient) -> None:
    await make_database(lonely.folder, "the right one")
    found = await lonely.examine(HISTORY_KEY="the wrong one")
    found.the("fault", "HISTORY_KEY is not the key")
    assert "the wrong one" not in "\n".join(found.lines)
    assert (await lonely.examine(HISTORY_KEY="the right one")).exit_code == 0


async def test_a_key_that_others_may_read_is_told(lonely: Patient, path: Path) -> None:
    key = path.with_name("banter.db.key")
    key.chmod(0o644)
    found = await lonely.examine()
    assert found.the("warning", "The key file").endswith("run chmod 600 data/banter.db.key")


async def test_an_older_schema_is_no_fault(lonely: Patient) -> None:
    path = lonely.folder / "data" / "banter.db"
    path.parent.mkdir()
    older = Path(__file__).parents[1] / "store" / "upkeep" / "older_0001.sql"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(older.read_text())
    found = await lonely.examine(HISTORY_KEY="off")
    assert "`python -m bot db upgrade`" in found.the("warning", "was made by an older Banter")
    assert found.exit_code == 0


@pytest.fixture
def open_folder(lonely: Patient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder that every user may walk into, with a database in it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        lonely.folder = folder
        monkeypatch.chdir(folder)
        yield folder


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("data/banter.db", 0o444, "The database data/banter.db cannot be written"),
        ("data", 0o555, "The database data/banter.db cannot be written"),
        ("data", 0o000, "make the folder"),
    ],
)
async def test_what_may_not_be_written_is_told(
    lonely: Patient, open_folder: Path, name: str, mode: int, words: str
) -> None:
    path = await make_database(open_folder)
    if os.geteuid() == 0:
        for owned in (path.parent, *path.parent.iterdir()):
            os.chown(owned, NOBODY, NOBODY)
    (open_folder / name).chmod(mode)
    with as_an_ordinary_user():
        found = await lonely.examine()
    (open_folder / name).chmod(0o700)
    (line,) = found.marked("fault")
    assert words in line
    assert "writable" in line
    assert found.exit_code == 69


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, lonely: Patient) -> Iterator[Path]:
    """A disk of so many megabytes in the place of the folder data."""
    disk = lonely.folder / "data"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("small_disk", "mark"), [(32, "fault"), (96, "warning")], indirect=["small_disk"]
)
async def test_a_disk_that_is_nearly_full_is_told(
    lonely: Patient, small_disk: Path, mark: str
) -> None:
    found = await lonely.examine()
    assert "make room on it" in found.the(mark, f"The disk of {small_disk}")
