"""Only one process may answer for a token: two would answer everything twice."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import UnavailableError

LOCK_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def only_instance(token: str, folder: Path | None = None) -> Iterator[None]:
    """Hold the lock of `token` on this machine, in `folder` (the system's temporary one).

    The lock is the kernel's: it goes when the process ends, however it ends, and the empty
    file stays. Its name is a hash, which does not give the token back.
    Raises UnavailableError while another process holds it.
    """
    descriptor = _open(_lock_file(token, folder))
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def is_running(token: str, folder: Path | None = None) -> bool:
    """Whether another process holds the lock of `token` now; makes no file."""
    try:
        descriptor = os.open(_lock_file(token, folder), LOCK_FLAGS)
    except OSError:
        return False
    try:
        _lock(descriptor)
    except UnavailableError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock_file(token: str, folder: Path | None) -> Path:
    name = hashlib.sha256(token.encode()).hexdigest()[:20]
    return (folder or Path(tempfile.gettempdir())) / f"banter-{name}.lock"


def _open(path: Path) -> int:
    try:
        # In a shared folder the kernel refuses O_CREAT on a file that another user made.
        flags = LOCK_FLAGS if path.exists() else LOCK_FLAGS | os.O_CREAT
        return os.open(path, flags, 0o644)
    except OSError as error:
        raise UnavailableError(
            "The lock file {path} cannot be opened ({reason}): make its folder writable.",
            path=path,
            reason=error.strerror,
        ) from error


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UnavailableError(
            "Another Banter is already running with this token: stop that one first."
        ) from error
