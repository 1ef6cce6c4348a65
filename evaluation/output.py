"""The file that `generate` writes: whole dialogues only, so that it can go on after any end."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from evaluation.errors import InputError

Row = Mapping[str, object]


class Output:
    """Rows on disk, one JSON object a line, the first of them about the run.

    `sizes`: how many rows each dialogue has. What an interruption left of a dialogue is cut
    away. Raises InputError for a file of another run.
    """

    def __init__(self, path: Path, about: Row, sizes: Sequence[int]) -> None:
        self._path = path
        self._about = about
        self._sizes = sizes
        self._file: BinaryIO | None = None
        self.num_dialogues = 0

    def __enter__(self) -> "Output":
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+b")
        except OSError as error:
            raise InputError(f"{self._path} cannot be written: {error.strerror}.") from error
        self._file.seek(0)
        try:
            self._file.truncate(self._end_of_whole_dialogues(self._file))
        except InputError:
            self._file.close()
            raise
        if not self._file.tell():
            self._write([self._about])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, rows: Sequence[Row]) -> None:
        """Append the next dialogue."""
        self._write(rows)
        self.num_dialogues += 1

    def _write(self, rows: Sequence[Row]) -> None:
        if self._file is None:
            raise ValueError("the output is not open")
        self._file.write(b"".join(map(_line, rows)))
        self._file.flush()

    def _end_of_whole_dialogues(self, file: BinaryIO) -> int:
        """Where the next dialogue goes; leaves the file there and counts the whole ones."""
        first = file.readline()
        if _line(self._about).startswith(first) and not first.endswith(b"\n"):
            file.seek(0)  # empty, or cut off before anything was made
            return 0
        self._check_run(first)
        end = file.tell()
        for size in self._sizes:
            lines = [file.readline() for _ in range(size)]
            if not all(line.endswith(b"\n") for line in lines):
                break
            end = file.tell()
            self.num_dialogues += 1
        file.seek(end)
        return end

    def _check_run(self, first: bytes) -> None:
        try:
            found = json.loads(first)
        except ValueError:
            found = None
        if found != json.loads(json.dumps(self._about)):
            raise InputError(
                f"{self._path} holds something else, or replies that were made in another way: "
                "choose another --out, or remove it."
            )


def _line(row: Row) -> bytes:
    return f"{json.dumps(row, ensure_ascii=False)}\n".encode()
