"""Dialogues as batches of token ids, made on the fly: the same seed, the same batches.

Dialogues of like length share a batch, each in a row of its own, so that none sees another and
little is padding. Only the bot's turns count in the loss, their end-of-text included.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.smalltalk.grammar import Grammar
from training.smalltalk.words import Split
from training.vocabulary import END_ID, WINDOW

IGNORED = -100  # what cross_entropy leaves out
CHUNK_DIALOGUES = 768
# Every new shape makes torch compile a kernel and keep it: few shapes halve the memory.
_WIDTH_STEP = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """`ids` and `labels`: shape (num_dialogues, num_tokens); labels stand where their ids do."""

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

    grammar: Grammar
    tokenizer: Tokenizer
    seed: str
    batch_tokens: int
    split: Split = Split.SEEN

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
        dialogues = [self.grammar.dialogue(rng, self.split) for _ in range(CHUNK_DIALOGUES)]
        rows = sorted(self._encode(dialogues), key=lambda row: len(row[0]))
        batches = [_batch(group) for group in _groups(rows, self.batch_tokens)]
        rng.shuffle(batches)
        return batches

    def _encode(self, dialogues: list[tuple[str, ...]]) -> Iterator[tuple[list[int], list[int]]]:
        encoded = iter(self.tokenizer.encode_batch([t for turns in dialogues for t in turns]))
        for turns in dialogues:
            ids: list[int] = []
            labels: list[int] = []
            for i in range(len(turns)):
                turn: list[int] = [*next(encoded).ids, END_ID]
                ids += turn
                labels += turn if i % 2 else [IGNORED] * len(turn)
            yield ids[:WINDOW], labels[:WINDOW]


def _groups(
    rows: list[tuple[list[int], list[int]]], batch_tokens: int
) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Neighbours of `rows` (by length, shortest first), padded at most `batch_tokens` together."""
    group: list[tuple[list[int], list[int]]] = []
    for row in rows:
        if group and (len(group) + 1) * _padded(len(row[0])) > batch_tokens:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _padded(num_tokens: int) -> int:
    return -(-num_tokens // _WIDTH_STEP) * _WIDTH_STEP


def _batch(rows: list[tuple[list[int], list[int]]]) -> Batch:
    width = _padded(max(len(ids) for ids, _ in rows))
    padded_ids = [ids + [END_ID] * (width - len(ids)) for ids, _ in rows]
    padded_labels = [labels + [IGNORED] * (width - len(labels)) for _, labels in rows]
    return Batch(
        torch.tensor(padded_ids), torch.tensor(padded_labels), sum(len(ids) for ids, _ in rows)
    )
