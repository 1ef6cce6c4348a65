"""Room on the disk for a model, and what it looks like when there is none."""

import errno
import os
import shutil
import sys
from pathlib import Path

from bot.errors import ModelError

_SLACK = 64 * 2**20  # bytes left over for the database and the log


def check_room(folder: Path, needed: int) -> None:
    """Refuse what would not fit the disk that `folder` is on: `needed` in bytes."""
    free = shutil.disk_usage(folder).free
    if needed + _SLACK > free:
        raise ModelError(
            "The disk of {folder} has {free} MB free, the model needs {needed} MB: free some space "
            "and fetch it again.",
            folder=folder,
            free=round(free / 1e6),
            needed=round((needed + _SLACK) / 1e6),
        )


def is_full_disk(error: BaseException) -> bool:
    """Whether `error` says that a disk, or the user's share of it, is full."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return "no space left on device" in str(error).lower()  # safetensors' own error class


def full_disk_error() -> ModelError:
    """What a person is told then."""
    return ModelError("The disk is full: free some space and fetch the model again.")


def flush(folder: Path) -> None:
    """Have every file of `folder` on the disk itself, so that a power cut cannot empty it."""
    if sys.platform == "win32":
        return  # a folder cannot be opened there
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
