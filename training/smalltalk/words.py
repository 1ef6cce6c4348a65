"""The words that fill slots: seen in training, held out for evaluation, or made up on the spot.

Made-up words are what teaches the model to copy a word that it has never met.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_FOLDER = Path(__file__).parent / "words"
_HEADING = re.compile(r"(?P<slot>\w+)(?: \((?P<notes>[\w. ]+)\))?:(?P<words>.*)")
_STARTS = "b bl br c ch cl d dr f fl fr g gl gr h j k kl l m n p pl pr qu r s sh sk sl sm sn sp st"
_MORE_STARTS = "str t th tr v w x y z"
_VOWELS = "a e i o u a e i o u ai ee oo ou ay ea ia"
_ENDS = "b ck d ft g l ll m n nd nk p r rt s sh st t th x zz ng ry ly"
_KOREAN_FINALS = (0, 0, 0, 1, 4, 8, 16, 17, 21)  # places of the commonest final consonants
_KOREAN_VOWELS = (0, 1, 4, 5, 6, 8, 13, 18, 20)


class Split(StrEnum):
    """Which words are drawn where a slot holds some out."""

    SEEN = "seen"
    HELD_OUT = "held out"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one slot. `made_up` is the share of invented ones in training."""

    seen: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    made_up: float = 0.0
    korean: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the member writes it, and as the bot does; `known`: the bot could spell it."""

    told: str
    answered: str
    known: bool


def load_words(folder: Path = _FOLDER) -> dict[str, Vocabulary]:
    """Every slot's words. Raises ValueError for a line without form or a word on both sides."""
    lines: dict[str, dict[str, list[str]]] = {}
    shares: dict[str, float] = {}
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                _read_line(line, lines, shares)
    return {slot: _vocabulary(slot, lists, shares.get(slot, 0.0)) for slot, lists in lines.items()}


def _read_line(line: str, lines: dict[str, dict[str, list[str]]], shares: dict[str, float]) -> None:
    match = _HEADING.fullmatch(line)
    if match is None:
        raise ValueError(f"not a line of words: {line!r}")
    slot, notes = match["slot"], match["notes"] or ""
    side = "held out" if notes == "held out" else "seen"
    if notes.startswith("made up "):
        shares[slot] = float(notes.removeprefix("made up "))
    words = [word.strip() for word in match["words"].split(",")]
    lines.setdefault(slot, {}).setdefault(side, []).extend(word for word in words if word)


def _vocabulary(slot: str, lists: Mapping[str, list[str]], made_up: float) -> Vocabulary:
    seen, held_out = (tuple(dict.fromkeys(lists.get(side, []))) for side in ("seen", "held out"))
    both = {word.lower() for word in seen} & {word.lower() for word in held_out}
    if both or not seen:
        raise ValueError(f"the slot {slot} has no words, or has words on both sides: {both}")
    return Vocabulary(seen, held_out, made_up, korean=slot.startswith("ko_"))


def draw(vocabulary: Vocabulary, rng: random.Random, split: Split, *, lower: bool) -> Word:
    """A word for a slot; `lower`: the member writes everything small.

    The bot gives a word that it knows its capital back; any other it repeats as it was told.
    """
    if split is Split.HELD_OUT and vocabulary.held_out:
        word = rng.choice(vocabulary.held_out)
    elif rng.random() < vocabulary.made_up and split is Split.SEEN:
        capital = vocabulary.seen[0][:1].isupper()
        word = invent_korean(rng) if vocabulary.korean else invent(rng, capital=capital)
    else:
        word = rng.choice(vocabulary.seen)
        return Word(word.lower() if lower else word, word, known=True)
    told = word.lower() if lower else word
    return Word(told, told, known=False)


def invent(rng: random.Random, *, capital: bool) -> str:
    """A word that no dictionary has, but that could be pronounced."""
    starts, vowels, ends = (f"{_STARTS} {_MORE_STARTS}".split(), _VOWELS.split(), _ENDS.split())
    word = ""
    for _ in range(rng.choice((1, 1, 2, 2, 2, 3))):
        word += rng.choice(starts) + rng.choice(vowels)
    word += rng.choice(ends) if rng.random() < 0.6 else ""
    return word.capitalize() if capital else word


def invent_korean(rng: random.Random) -> str:
    """Two or three Korean syllables that make no word."""
    return "".join(
        chr(
            0xAC00
            + rng.choice((0, 2, 3, 5, 6, 7, 9, 11, 12, 14, 16, 17, 18)) * 588
            + rng.choice(_KOREAN_VOWELS) * 28
            + rng.choice(_KOREAN_FINALS)
        )
        for _ in range(rng.choice((2, 2, 3)))
    )
