"""What may be done with a file or a folder, told without trying it."""

import os
import stat
from pathlib import Path


def is_there(path: Path) -> bool:
    """Whether there is something at `path`; False where this process may not even look."""
    try:
        return path.exists()
    except OSError:
        return False


def nearest_folder(path: Path) -> Path:
    """The folder that `path` is in, or the nearest one above that is there."""
    return next(parent for parent in path.absolute().parents if is_there(parent))


def may_write(path: Path) -> bool:
    """Whether this process may read and write `path`, which is there; a folder: add to it."""
    needed = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, needed, effective_ids=os.access in os.supports_effective_ids)


def is_open_to_others(path: Path) -> bool:
    """Whether other users of this computer may read the file at `path`."""
    return path.is_file() and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
