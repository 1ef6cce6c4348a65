"""How the turns of a dialogue become rows of tokens, and which of them count in the loss.

A turn here is its token ids with its end-of-text: where a turn counts, the end of it counts, too.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from training.vocabulary import WINDOW

IGNORED = -100  # what cross_entropy leaves out
_PAIRED_SHARE = 0.75  # of the dialogues that a reverse model learns

Turn = list[int]


@dataclass(frozen=True, slots=True)
class Row:
    """`labels` stand where their ids do, IGNORED where nothing is learned."""

    ids: list[int]
    labels: list[int]


class Form(Protocol):
    """Makes rows of at most WINDOW tokens."""

    def rows(self, turns: Sequence[Turn], rng: random.Random) -> Iterator[Row]:
        """What is learned of a dialogue at one time."""
        ...

    def measured(self, turns: Sequence[Turn]) -> Iterator[Row]:
        """What a validation measures: the same every time, each turn once at most."""
        ...


@dataclass(frozen=True, slots=True)
class BotTurns:
    """A dialogue in a row; every second turn is the bot's and counts."""

    def rows(self, turns: Sequence[Turn], rng: random.Random) -> Iterator[Row]:
        """One row."""
        return self.measured(turns)

    def measured(self, turns: Sequence[Turn]) -> Iterator[Row]:
        """The same row."""
        yield _row(turns, [i % 2 == 1 for i in range(len(turns))])


@dataclass(frozen=True, slots=True)
class BothSides:
    """Two people speak, and the bot takes the side of each.

    Whoever answers is the bot: every turn but the first of a row counts, so both sides are learned
    in one reading. Rows hold whole turns; the first row of a dialogue is ended at random, so that
    every turn is met with much and with little before it.
    """

    def rows(self, turns: Sequence[Turn], rng: random.Random) -> Iterator[Row]:
        """Rows that overlap by a turn; every turn but the dialogue's first counts once."""
        cut = rng.randint(2, max(2, len(turns)))
        yield from _pieces(turns[:cut])
        yield from _pieces(turns[cut - 1 :])

    def measured(self, turns: Sequence[Turn]) -> Iterator[Row]:
        """As few rows as the window allows."""
        return _pieces(turns)


@dataclass(frozen=True, slots=True)
class Reversed:
    """The newest turn first: what was said, given what was answered: P(said | reply).

    Most dialogues become pairs, `reply said`, which is what ranking asks; the others a row from
    the newest turn back. Every turn but the first of a row counts. Candidates are ranked by it in
    Li et al. 2016, https://arxiv.org/abs/1510.03055, and Zhang et al. 2020,
    https://arxiv.org/abs/1911.00536, section 3.2.

    `step`: every how manieth turn is the bot's, and thus a reply: 2, or 1 where both sides are.
    """

    step: int

    def rows(self, turns: Sequence[Turn], rng: random.Random) -> Iterator[Row]:
        """All pairs, or the dialogue from its newest reply back."""
        if rng.random() < _PAIRED_SHARE:
            return self.measured(turns)
        newest = range(1, len(turns), self.step)[-1]
        return _pieces(turns[newest::-1])

    def measured(self, turns: Sequence[Turn]) -> Iterator[Row]:
        """All pairs."""
        for i in range(1, len(turns), self.step):
            yield from _pieces([turns[i], turns[i - 1]])


def choose_form(*, is_reverse: bool, has_two_people: bool) -> Form:
    """The form for a training: of people's dialogues, or such with a bot at every second turn."""
    if is_reverse:
        return Reversed(1 if has_two_people else 2)
    return BothSides() if has_two_people else BotTurns()


def _pieces(turns: Sequence[Turn]) -> Iterator[Row]:
    """Rows of whole turns, as many as fit; each begins with the turn that the last one ended with.

    What precedes a turn is shortened at its old end where both do not fit a window.
    """
    start = 0
    while start + 1 < len(turns):
        stop, used = start + 1, len(turns[start])
        while stop < len(turns) and used + len(turns[stop]) <= WINDOW:
            used += len(turns[stop])
            stop += 1
        if stop == start + 1:
            stop += 1
            room = max(1, WINDOW - len(turns[start + 1]))
            yield _row([turns[start][-room:], turns[start + 1]], [False, True])
        else:
            yield _row(turns[start:stop], [i > 0 for i in range(stop - start)])
        start = stop - 1


def _row(turns: Sequence[Turn], counted: Sequence[bool]) -> Row:
    labels = (
        turn if counts else [IGNORED] * len(turn)
        for turn, counts in zip(turns, counted, strict=True)
    )
    return Row(
        list(chain.from_iterable(turns))[:WINDOW], list(chain.from_iterable(labels))[:WINDOW]
    )
