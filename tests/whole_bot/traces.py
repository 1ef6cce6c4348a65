"""Looking for words where they must not be: in the files of a bot's folder."""

from collections.abc import Iterable
from pathlib import Path

ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")


def files_with(words: Iterable[str | bytes], folder: Path) -> dict[str, list[str | bytes]]:
    """The files under `folder` that hold one of `words` as raw bytes, and which ones each holds."""
    needles = [(word, form) for word in words for form in _forms(word)]
    found: dict[str, list[str | bytes]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if held := list(dict.fromkeys(word for word, form in needles if form in content)):
            found[str(path.relative_to(folder))] = held
    return found


def _forms(word: str | bytes) -> list[bytes]:
    """How `word` may stand in a file; of sealed bytes the first ones are enough to be sure."""
    if isinstance(word, bytes):
        return [word[:40]]
    return [word.encode(encoding) for encoding in ENCODINGS]
