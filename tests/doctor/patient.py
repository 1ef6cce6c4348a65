"""A bot's folder and its environment, and what the doctor says of them."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.doctor.examination import examine
from bot.doctor.findings import exit_code_of, line_of, summary_of

NOBODY = 65534


@dataclass(frozen=True)
class Diagnosis:
    """The lines that were told, the exit code, and the last line."""

    lines: tuple[str, ...]
    exit_code: int
    summary: str

    def the(self, mark: str, words: str) -> str:
        """The one line with this mark that holds these words."""
        found = [line for line in self.marked(mark) if words in line]
        assert len(found) == 1, (words, self.lines)
        return found[0]

    def marked(self, mark: str) -> list[str]:
        return [line for line in self.lines if line.startswith(f"{mark} ")]


@dataclass
class Patient:
    """`folder` is the current one while the doctor looks."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write_env(self, text: str, *, mode: int = 0o600) -> None:
        path = self.folder / ".env"
        path.write_text(text)
        path.chmod(mode)

    async def examine(self, *channel_ids: int, locale: str = "en", **more: str) -> Diagnosis:
        """What the doctor says; it has told every finding, and changed nothing."""
        told: list[str] = []
        before = fingerprints(self.folder)
        findings = await examine(
            self.environ | more, channel_ids, lambda one: told.append(line_of(one, locale))
        )
        assert told == [line_of(one, locale) for one in findings]
        assert fingerprints(self.folder) == before
        return Diagnosis(tuple(told), exit_code_of(findings), summary_of(findings, locale))


def fingerprints(folder: Path) -> Mapping[str, str]:
    """Every path below `folder`: rights, and what is in the files."""
    return {
        str(path): f"{path.stat().st_mode:o} {_digest(path)}" for path in sorted(folder.rglob("*"))
    }


def _digest(path: Path) -> str:
    # The index of a log in use is shared memory, where every reader takes a place.
    is_memory = path.name.endswith("-shm")
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not is_memory else ""


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Root may write everything: what may not be written is seen as the user nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
