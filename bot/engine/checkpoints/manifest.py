"""The list of a fetched checkpoint's files with their sizes and hashes.

At a start the sizes of all files and the hashes of the small ones are checked, which takes
milliseconds; the weights' hash (seconds) is checked when they are fetched and when they are
fetched again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path

from bot.errors import ModelError

MANIFEST = "manifest.json"
_SMALL = 8 * 2**20  # bytes; a file below is hashed at every start


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a checkpoint: `size` in bytes."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where a checkpoint came from and what belongs to it; `converted_from` has its own record."""

    source: str
    commit: str
    files: Mapping[str, FileRecord]
    converted_from: FileRecord | None = None


def make_manifest(
    folder: Path, source: str, commit: str, converted_from: FileRecord | None
) -> Manifest:
    """Record every file that lies in `folder` now."""
    files = {path.name: record(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    return Manifest(source, commit, files, converted_from)


def record(path: Path) -> FileRecord:
    """Size and hash of a file."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(path.stat().st_size, sha256)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest` beside the files it lists."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of `folder`, or None for a folder that was not fetched.

    Raises ModelError for one that cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        files = {name: FileRecord(**entry) for name, entry in content["files"].items()}
        origin = content.get("converted_from")
        return Manifest(
            source=content["source"],
            commit=content["commit"],
            files=files,
            converted_from=FileRecord(**origin) if origin else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            "The file {file} is damaged: remove the folder {folder} and fetch the model again.",
            file=path,
            folder=folder,
        ) from error


def check_quickly(folder: Path, manifest: Manifest) -> None:
    """Compare all sizes and the small files' hashes; raises ModelError at the first difference."""
    _check(folder, manifest, hashed_below=_SMALL)


def check_fully(folder: Path, manifest: Manifest) -> None:
    """Compare every byte through its hash; raises ModelError at the first difference."""
    _check(folder, manifest, hashed_below=inf)


def _check(folder: Path, manifest: Manifest, hashed_below: float) -> None:
    for name, entry in manifest.files.items():
        path = folder / name
        same = path.is_file() and path.stat().st_size == entry.size
        if not same or (entry.size < hashed_below and record(path) != entry):
            raise ModelError(
                "The file {file} of the model {model} is missing or has changed since it was "
                "fetched: run `python -m bot fetch {model}`.",
                file=name,
                model=manifest.source,
            )
