"""Dialogues as batches of token ids: the same seed, the same batches.

Rows of like length share a batch, so that none sees another and little is padding.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.forms import IGNORED, Form, Row, Turn
from training.smalltalk.grammar import Dialogue
from training.sources import Source
from training.vocabulary import END_ID

# Every new shape makes torch compile a kernel and keep it: few shapes halve the memory.
_WIDTH_STEP = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """`ids` and `labels`: shape (num_rows, num_tokens); labels stand where their ids do."""

    ids: Tensor
    labels: Tensor
    num_tokens: int  # without the padding


@dataclass(frozen=True, slots=True)
class Position:
    """The next batch: chunks are made from the seed and their number alone."""

    chunk: int = 0
    batch: int = 0


@dataclass(frozen=True, slots=True)
class Corpus:
    """All batches of a seed, as far as one likes to read."""

    source: Source
    tokenizer: Tokenizer
    seed: str
    batch_tokens: int
    form: Form

    def read(self, position: Position) -> Iterator[tuple[Batch, Position]]:
        """Batches from `position` on, each with the position after it; never ends."""
        chunk, skipped = position.chunk, position.batch
        while True:
            batches = self.chunk(chunk)
            for i in range(skipped, len(batches)):
                last = i + 1 == len(batches)
                yield batches[i], Position(chunk + 1, 0) if last else Position(chunk, i + 1)
            chunk, skipped = chunk + 1, 0

    def chunk(self, number: int) -> list[Batch]:
        """The batches of chunk `number`, in a random order of lengths."""
        rng = random.Random(f"{self.seed} {number}")
        dialogues = self.source.draw(rng, self.seed, number)
        rows = [
            row
            for turns in encode_dialogues(dialogues, self.tokenizer)
            for row in self.form.rows(turns, rng)
        ]
        batches = make_batches(rows, self.batch_tokens)
        rng.shuffle(batches)
        return batches


def encode_dialogues(dialogues: Sequence[Dialogue], tokenizer: Tokenizer) -> Iterator[list[Turn]]:
    """The turns of each dialogue as token ids, with their end-of-text."""
    encoded = iter(tokenizer.encode_batch([turn for turns in dialogues for turn in turns]))
    for turns in dialogues:
        yield [[*next(encoded).ids, END_ID] for _ in turns]


def make_batches(rows: Sequence[Row], batch_tokens: int) -> list[Batch]:
    """`rows` by their length, padded at most `batch_tokens` together; stable."""
    by_length = sorted(rows, key=lambda row: len(row.ids))
    return [_batch(group) for group in _groups(by_length, batch_tokens)]


def _groups(rows: list[Row], batch_tokens: int) -> Iterator[list[Row]]:
    """Neighbours of `rows` (by length, shortest first), padded at most `batch_tokens` together."""
    group: list[Row] = []
    for row in rows:
        if group and (len(group) + 1) * _padded(len(row.ids)) > batch_tokens:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _padded(num_tokens: int) -> int:
    return -(-num_tokens // _WIDTH_STEP) * _WIDTH_STEP


def _batch(rows: list[Row]) -> Batch:
    width = _padded(max(len(row.ids) for row in rows))
    padded_ids = [row.ids + [END_ID] * (width - len(row.ids)) for row in rows]
    padded_labels = [row.labels + [IGNORED] * (width - len(row.labels)) for row in rows]
    return Batch(
        torch.tensor(padded_ids), torch.tensor(padded_labels), sum(len(row.ids) for row in rows)
    )
