"""Only one process may answer for a token: two would answer everything twice."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bot.errors import UnavailableError
from bot.store.database.locks import FileLock, is_held


@contextmanager
def only_instance(
    token: str, folder: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Iterator[Sequence[FileLock]]:
    """Hold the locks of `token` on this machine: in `folder`, else in the places for such files.

    They lie in the system's temporary folder, where earlier versions look, and in the one of
    XDG_RUNTIME_DIR, which is not cleaned. Their name is a hash, which does not give the token back.
    Raises UnavailableError while another process holds one of them.
    """
    usual, *others = _lock_files(token, folder, environ)
    locks: list[FileLock] = []
    try:
        locks.append(_held(usual))
        for path in others:
            with suppress(OSError):  # another user's, handed on by sudo
                locks.append(_held(path))
        yield locks
    except OSError as error:
        if locks:
            raise
        raise UnavailableError(
            "The lock file {path} cannot be opened ({reason}): make its folder writable.",
            path=usual,
            reason=error.strerror,
        ) from error
    finally:
        for lock in locks:
            lock.release()


def is_running(
    token: str, folder: Path | None = None, environ: Mapping[str, str] = os.environ
) -> bool:
    """Whether another process holds a lock of `token` now; makes no file."""
    return any(map(is_held, _lock_files(token, folder, environ)))


def _lock_files(token: str, folder: Path | None, environ: Mapping[str, str]) -> list[Path]:
    name = f"banter-{hashlib.sha256(token.encode()).hexdigest()[:20]}.lock"
    if folder is not None:
        return [folder / name]
    runtime = environ.get("XDG_RUNTIME_DIR")
    return [Path(place) / name for place in (tempfile.gettempdir(), runtime) if place]


def _held(path: Path) -> FileLock:
    """The lock at `path`, which is ours now; raises OSError where the file cannot be opened."""
    lock = FileLock(path)
    if not lock.take():
        raise UnavailableError(
            "Another Banter is already running with this token: stop that one first."
        )
    return lock
