"""Where dialogues come from: a grammar that makes them up, or files of dialogues of people."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evaluation.errors import InputError
from evaluation.reading import SILENCE, read_rows
from training.smalltalk.grammar import Dialogue, Grammar, fingerprint
from training.smalltalk.words import Split

CHUNK_DIALOGUES = 768


class Source(Protocol):
    """Chunk after chunk of dialogues, which depend on the seed and the chunk's number alone."""

    @property
    def fingerprint(self) -> str:
        """The start of a hash: other dialogues have another one."""
        ...

    def draw(self, rng: random.Random, seed: str, chunk: int) -> Sequence[Dialogue]:
        """The dialogues of chunk number `chunk`, never none; `rng` is the chunk's own."""
        ...

    def texts(self, seed: int, num_dialogues: int) -> Iterator[str]:
        """Turns to train a tokenizer on; a source with an end gives all that it has."""
        ...


@dataclass(frozen=True, slots=True)
class Invented:
    """The grammar's dialogues, new ones without end; the bot has every second turn."""

    grammar: Grammar
    split: Split = Split.SEEN

    @property
    def fingerprint(self) -> str:
        """That of the grammar."""
        return fingerprint(self.grammar)

    def draw(self, rng: random.Random, seed: str, chunk: int) -> list[Dialogue]:
        """CHUNK_DIALOGUES new ones."""
        return [self.grammar.dialogue(rng, self.split) for _ in range(CHUNK_DIALOGUES)]

    def texts(self, seed: int, num_dialogues: int) -> Iterator[str]:
        """The turns of `num_dialogues` dialogues."""
        rng = random.Random(f"vocabulary {seed}")
        for _ in range(num_dialogues):
            yield from self.grammar.dialogue(rng)


@dataclass(frozen=True, slots=True)
class Collected:
    """Dialogues of files, pass after pass, each pass in an order of its own.

    `num_left_out`: dialogues of a single turn, which teach nobody to answer.
    """

    dialogues: tuple[Dialogue, ...]
    num_left_out: int = 0

    @property
    def fingerprint(self) -> str:
        """That of all turns, in the order of the files."""
        return hashlib.sha256(repr(self.dialogues).encode()).hexdigest()[:12]

    def sample(self, count: int) -> "Collected":
        """About `count` of the dialogues, evenly taken, the same every time."""
        return Collected(self.dialogues[:: max(1, len(self.dialogues) // count)])

    @property
    def num_chunks(self) -> int:
        """Of a pass; the last one may be smaller."""
        return -(-len(self.dialogues) // CHUNK_DIALOGUES)

    def draw(self, rng: random.Random, seed: str, chunk: int) -> list[Dialogue]:
        """The next CHUNK_DIALOGUES of the pass, or what is left of it."""
        number, part = divmod(chunk, self.num_chunks)
        order = list(range(len(self.dialogues)))
        random.Random(f"{seed} pass {number}").shuffle(order)
        start = part * CHUNK_DIALOGUES
        return [self.dialogues[i] for i in order[start : start + CHUNK_DIALOGUES]]

    def texts(self, seed: int, num_dialogues: int) -> Iterator[str]:
        """All turns."""
        for dialogue in self.dialogues:
            yield from dialogue


def read_collected(paths: Sequence[Path]) -> Collected:
    """The dialogues of files of `{"turns": ["…", …]}`, one a line, without turns of silence.

    Raises InputError, which names file, line and mend.
    """
    read = [turns for path in paths for turns in _read(path)]
    dialogues = tuple(turns for turns in read if len(turns) > 1)
    if not dialogues:
        raise InputError(
            f"{', '.join(map(str, paths))}: no dialogue has two turns, so there is nothing to "
            'learn: write {"turns": ["…", "…"]} a line.'
        )
    return Collected(dialogues, len(read) - len(dialogues))


def _read(path: Path) -> Iterator[Dialogue]:
    for number, row in read_rows(path):
        turns = row.get("turns")
        if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
            raise InputError(
                f'{path}, line {number} has no list of turns: write {{"turns": ["…", "…"]}}.'
            )
        for i, turn in enumerate(turns, start=1):
            if not turn.strip():
                raise InputError(
                    f"{path}, line {number}: turn {i} is empty: write what was said, or "
                    f'"{SILENCE}" where nobody spoke.'
                )
        yield tuple(turn for turn in turns if turn != SILENCE)
