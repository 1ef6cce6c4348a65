"""Locks that the death of their holder frees, and files that vanish under them."""

import logging
from pathlib import Path

import pytest

from bot.paths import OpenedFile
from bot.store.database.locks import FileLock, is_held


def test_one_at_a_time_has_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second = FileLock(path), FileLock(path)
    assert not is_held(path)
    assert not path.exists()
    assert first.take()
    assert first.take()
    assert is_held(path)
    assert not second.take()
    first.release()
    first.release()
    assert second.take()
    second.release()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_lock_file_that_vanishes_is_locked_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_replaced: bool
) -> None:
    path = tmp_path / "lock"
    lock = FileLock(path)
    assert lock.take()
    path.unlink()
    if is_replaced:
        path.touch()
    with caplog.at_level(logging.WARNING):
        assert lock.take()
        assert lock.take()
    assert caplog.messages == [f"The lock file {path} was deleted or replaced: it is locked anew."]
    assert is_held(path)
    lock.release()
    assert not is_held(path)


def test_a_lock_that_another_process_has_taken_meanwhile_is_told_once_and_had_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "lock"
    lock, another = FileLock(path), FileLock(path)
    assert lock.take()
    path.unlink()
    assert another.take()
    with caplog.at_level(logging.WARNING):
        assert not lock.take()
        assert not lock.take()
        (line,) = caplog.messages
        assert line.startswith(f"The lock file {path} was deleted or replaced: another process")
        another.release()
        assert lock.take()
    assert len(caplog.messages) == 2
    lock.release()


def test_a_folder_that_is_gone_costs_the_lock_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "runtime"
    folder.mkdir()
    lock = FileLock(folder / "lock")
    assert lock.take()
    (folder / "lock").unlink()
    folder.rmdir()
    with caplog.at_level(logging.WARNING):
        assert not lock.take()
        assert not lock.take()
    assert len(caplog.messages) == 1
    folder.mkdir()
    assert lock.take()
    lock.release()


def test_a_file_is_in_place_until_it_is_deleted_moved_or_replaced(tmp_path: Path) -> None:
    path, other = tmp_path / "file", tmp_path / "other"
    with path.open("w") as file:
        opened = OpenedFile.of(path, path.stat())
        assert opened.is_in_place()
        file.write("more")
        file.flush()
        assert opened.is_in_place()
        path.rename(other)
        assert not opened.is_in_place()
        path.touch()
        assert not opened.is_in_place()
        other.replace(path)
        assert opened.is_in_place()
    tmp_path.joinpath("folder").mkdir()
    in_folder = OpenedFile.of(tmp_path / "folder" / "file", path.stat())
    assert not in_folder.is_in_place()
