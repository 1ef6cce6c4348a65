"""What may be done with a file or a folder, told without trying it."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file as it was when it was opened: its path may lead to another one later, or to none."""

    path: Path
    device: int
    inode: int

    @classmethod
    def of(cls, path: Path, opened: os.stat_result) -> "OpenedFile":
        """The file that was `opened` by its `path`."""
        return cls(path, opened.st_dev, opened.st_ino)

    def is_in_place(self) -> bool:
        """Whether its path still leads to it; True where that cannot be told."""
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return (found.st_dev, found.st_ino) == (self.device, self.inode)


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
