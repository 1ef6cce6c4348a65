"""Looking for words where they must not be: in the files of a bot's folder."""

from collections.abc import Iterable
from pathlib import Path

ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")


def files_with(words: Iterable[str], folder: Path) -> dict[str, list[str]]:
    """The files under `folder` that hold one of `words`, raw, and which ones each holds."""
    needles = [(word, word.encode(encoding)) for word in words for encoding in ENCODINGS]
    found: dict[str, list[str]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if held := sorted({word for word, needle in needles if needle in content}):
            found[str(path.relative_to(folder))] = held
    return found
