"""A file beside the database for what could not be stored: kinds and ids, no words."""

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bot.delivery.ports import Fact, FactKind

logger = logging.getLogger(__name__)


class FactFile:
    """A FactStore: a line for each fact in a file that only its owner can read.

    `withdraw 123`, `channel 45`, `server 6 45 46`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Fact]:
        """The facts of the readable lines; the log says once where others are left out."""
        try:
            lines = self._path.read_text(encoding="ascii", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            logger.error("%s cannot be read: %s", self._path, error.strerror)  # noqa: TRY400 (a traceback says nothing more)
            return []
        facts = [_fact_of(line) for line in lines]
        if None in facts:
            logger.error("%s is damaged: its readable lines count.", self._path)
        return [fact for fact in facts if fact is not None]

    def write(self, facts: Sequence[Fact]) -> None:
        """Put `facts` in the place of what the file held; without any it goes. Raises OSError."""
        if not facts:
            self._path.unlink(missing_ok=True)
            return
        draft = self._path.with_name(f"{self._path.name}.new")
        draft.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(draft, flags, 0o600), "w", encoding="ascii") as file:
            file.writelines(_line_of(fact) for fact in facts)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)


def _line_of(fact: Fact) -> str:
    return " ".join(map(str, (fact.kind.value, fact.subject_id, *fact.channel_ids))) + "\n"


def _fact_of(line: str) -> Fact | None:
    """The fact of a line; None for one that is damaged."""
    kind, *ids = line.split(" ")
    with suppress(ValueError):
        subject_id, *channel_ids = map(int, ids)
        if all(0 < one < 2**63 for one in (subject_id, *channel_ids)):
            return Fact(FactKind(kind), subject_id, channel_ids=tuple(channel_ids))
    return None
