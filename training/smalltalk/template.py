"""The little language that scenes are written in, and its expansion to text.

`(a|b)` is one of them, `[a|b]` one of them or nothing, `{slot}` a word of the scene. A slot may
ask for an article (`{a pet}`), a capital (`{^food}`) or a Korean particle that depends on the
word's last letter (`{food~을/를}`); `{food.2}` is a second, different food. A backslash takes the
next character as it is.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

_SLOT = re.compile(
    r"(?P<article>a )?(?P<capital>\^)?(?P<key>\w+(?:\.\d)?)(?:~(?P<closed>[^/]*)/(?P<open>.*))?"
)
_VOWELS = "aeiou"
_FIRST_SYLLABLE, _LAST_SYLLABLE, _NUM_FINALS, _FINAL_RIEUL = 0xAC00, 0xD7A3, 28, 8

Lookup = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Slot:
    """A word of the scene, as a template asks for it."""

    key: str
    article: bool
    capital: bool
    particles: tuple[str, str] | None  # after a consonant, after a vowel


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several sequences."""

    options: tuple["Sequence", ...]
    optional: bool


Part = str | Slot | Choice
Sequence = tuple[Part, ...]


def parse(text: str) -> Sequence:
    """The template in `text`. Raises ValueError for brackets that do not match."""
    parts, end = _parse_sequence(text, 0, "")
    if end != len(text):
        raise ValueError(f"unmatched {text[end]!r} in the template {text!r}")
    return parts


def _parse_sequence(text: str, start: int, stops: str) -> tuple[Sequence, int]:
    parts: list[Part] = []
    literal = ""
    at = start
    while at < len(text) and text[at] not in stops + "|)]":
        char = text[at]
        if char in "([{":
            part, at = _parse_slot(text, at) if char == "{" else _parse_choice(text, at)
            parts += [literal, part] if literal else [part]
            literal = ""
            continue
        at += char == "\\"
        literal += text[at]
        at += 1
    return (*parts, literal) if literal else tuple(parts), at


def _parse_choice(text: str, start: int) -> tuple[Choice, int]:
    closing = ")" if text[start] == "(" else "]"
    options: list[Sequence] = []
    at = start
    while at == start or text[at] == "|":
        option, at = _parse_sequence(text, at + 1, "")
        options.append(option)
        if at == len(text):
            raise ValueError(f"unclosed {text[start]!r} in the template {text!r}")
    if text[at] != closing:
        raise ValueError(f"{text[start]!r} closed by {text[at]!r} in the template {text!r}")
    return Choice(tuple(options), closing == "]"), at + 1


def _parse_slot(text: str, start: int) -> tuple[Slot, int]:
    end = text.find("}", start)
    match = _SLOT.fullmatch(text[start + 1 : end])
    if end < 0 or match is None:
        raise ValueError(f"a slot without form in the template {text!r}")
    closed, opened = match["closed"], match["open"]
    particles = None if closed is None else (closed, opened)
    return Slot(match["key"], bool(match["article"]), bool(match["capital"]), particles), end + 1


def expand(sequence: Sequence, rng: random.Random, lookup: Lookup) -> str:
    """One text of `sequence`; `lookup` gives the word for a slot's key."""
    return "".join(
        part if isinstance(part, str) else _expand_part(part, rng, lookup) for part in sequence
    )


def _expand_part(part: Slot | Choice, rng: random.Random, lookup: Lookup) -> str:
    if isinstance(part, Slot):
        return inflect(part, lookup(part.key))
    if part.optional and rng.random() < 0.5:
        return ""
    return expand(rng.choice(part.options), rng, lookup)


def inflect(slot: Slot, word: str) -> str:
    """`word` with the article, capital or particle that `slot` asks for."""
    if slot.article:
        word = f"{'an' if word[:1].lower() in _VOWELS else 'a'} {word}"
    if slot.capital:
        word = word[:1].upper() + word[1:]
    return word + particle(word, *slot.particles) if slot.particles else word


def particle(word: str, closed: str, opened: str) -> str:
    """The particle after `word`: `closed` after a final consonant, else `opened`.

    `로` follows the consonant ㄹ as if it were a vowel.
    """
    last = ord(word[-1]) if word else 0
    if not _FIRST_SYLLABLE <= last <= _LAST_SYLLABLE:
        return opened
    final = (last - _FIRST_SYLLABLE) % _NUM_FINALS
    if final == 0 or (final == _FINAL_RIEUL and opened.startswith("로")):
        return opened
    return closed


def slot_keys(sequence: Sequence) -> set[str]:
    """The keys of every slot in `sequence`, however deep."""
    keys: set[str] = set()
    for part in sequence:
        if isinstance(part, Slot):
            keys.add(part.key)
        elif isinstance(part, Choice):
            keys |= {key for option in part.options for key in slot_keys(option)}
    return keys
