"""Only one process may answer for a token: two would answer everything twice."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
    first, *others = _lock_files(token, folder, environ)
    with ExitStack() as stack:
        locks = [_held(first)]
        stack.callback(locks[0].release)
        for path in others:
            with suppress(_UnusableError):  # another user's, handed on by sudo
                locks.append(_held(path))
                stack.callback(locks[-1].release)
        yield locks


def is_running(
    token: str, folder: Path | None = None, environ: Mapping[str, str] = os.environ
) -> bool:
    """Whether another process holds a lock of `token` now; makes no file."""
    return any(map(is_held, _lock_files(token, folder, environ)))


class _UnusableError(UnavailableError):
    """A lock file that cannot be opened."""


def _lock_files(token: str, folder: Path | None, environ: Mapping[str, str]) -> list[Path]:
    name = f"banter-{hashlib.sha256(token.encode()).hexdigest()[:20]}.lock"
    if folder is not None:
        return [folder / name]
    runtime = environ.get("XDG_RUNTIME_DIR")
    return [Path(place) / name for place in (tempfile.gettempdir(), runtime) if place]


def _held(path: Path) -> FileLock:
    """The lock at `path`, which is ours now."""
    lock = FileLock(path)
    try:
        is_ours = lock.take()
    except OSError as error:
        raise _UnusableError(
            "The lock file {path} cannot be opened ({reason}): make its folder writable.",
            path=path,
            reason=error.strerror,
        ) from error
    if not is_ours:
        raise UnavailableError(
            "Another Banter is already running with this token: stop that one first."
        )
    return lock
