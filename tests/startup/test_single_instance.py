"""One process for one token."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot.errors import UnavailableError
from bot.startup.single_instance import is_running, only_instance

HOLDER = """
import sys
from pathlib import Path
from bot.startup.single_instance import only_instance
with only_instance("token", Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_one_is_told_to_stop_the_first(tmp_path: Path) -> None:
    with (
        only_instance("token", tmp_path),
        pytest.raises(UnavailableError) as refused,
        only_instance("token", tmp_path),
    ):
        pass
    assert str(refused.value) == (
        "Another Banter is already running with this token: stop that one first."
    )


def test_another_token_may_run_beside_it(tmp_path: Path) -> None:
    with only_instance("token", tmp_path), only_instance("another", tmp_path):
        assert len(list(tmp_path.iterdir())) == 2


def test_after_the_end_it_may_run_again(tmp_path: Path) -> None:
    with only_instance("token", tmp_path):
        pass
    with only_instance("token", tmp_path):
        pass
    with pytest.raises(ZeroDivisionError), only_instance("token", tmp_path):
        raise ZeroDivisionError
    with only_instance("token", tmp_path):
        pass
    assert len(list(tmp_path.iterdir())) == 1


def test_the_token_cannot_be_read_from_the_file(tmp_path: Path) -> None:
    with only_instance("my.secret-token", tmp_path):
        (path,) = tmp_path.iterdir()
        assert "secret" not in path.name
        assert path.read_bytes() == b""


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UnavailableError), only_instance("token", tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)
        with only_instance("token", tmp_path):
            pass


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.touch()
    with only_instance("token", tmp_path):
        pass
    (lock,) = tmp_path.glob("*.lock")
    lock.unlink()
    lock.symlink_to(target)
    with (
        pytest.raises(UnavailableError, match="cannot be opened"),
        only_instance("token", tmp_path),
    ):
        pass


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(UnavailableError, match=str(folder)), only_instance("token", folder):
        pass


def test_asking_whether_one_runs_makes_no_file(tmp_path: Path) -> None:
    assert not is_running("token", tmp_path)
    assert list(tmp_path.iterdir()) == []
    with only_instance("token", tmp_path):
        assert is_running("token", tmp_path)
        assert not is_running("another", tmp_path)
    assert not is_running("token", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_lock_that_may_only_be_read_is_seen_and_taken(tmp_path: Path) -> None:
    """In a shared folder it may be another account's."""
    with only_instance("token", tmp_path):
        (lock,) = tmp_path.iterdir()
        lock.chmod(0o444)
        assert is_running("token", tmp_path)
    with only_instance("token", tmp_path):
        pass


def test_a_child_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    with only_instance("token", tmp_path):
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
    with child:
        assert child.stdout is not None
        child.stdout.readline()  # the kernel may close files a moment after the program has begun
        assert not is_running("token", tmp_path)


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """The folder that a login has for such files, and that is not cleaned."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def test_a_cleaned_temporary_folder_lets_no_second_one_start(usual: Path, runtime: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    with only_instance("token", environ=environ):
        for path in usual.iterdir():
            path.unlink()
        assert is_running("token", environ=environ)
        with pytest.raises(UnavailableError), only_instance("token", environ=environ):
            pass
    assert not is_running("token", environ=environ)


def test_one_of_an_earlier_version_and_one_outside_of_a_login_are_seen(
    usual: Path, runtime: Path
) -> None:
    """They hold the lock in the temporary folder alone."""
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    with only_instance("token", usual):
        assert is_running("token", environ=environ)
        with pytest.raises(UnavailableError), only_instance("token", environ=environ):
            pass
    with only_instance("token", environ=environ):
        assert is_running("token", environ={})
        with pytest.raises(UnavailableError), only_instance("token", environ={}):
            pass


def test_the_folder_of_another_users_login_is_no_hindrance(usual: Path, tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "none")}
    with only_instance("token", environ=environ) as locks:
        assert [lock.path.parent for lock in locks] == [usual]
        assert is_running("token", environ=environ)
