"""Words that the bot does not say: the project's own list, and one that the owner adds."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from bot.dialogue.folding import HANGUL, MAX_RUN, fold, readings, spaced
from bot.errors import WrongSettingsError

_OWN_FOLDER = Path(__file__).resolve().parent / "blocked_words"
# By name, so that a list that is missing is told and not passed over.
_OWN_LISTS = (_OWN_FOLDER / "english.txt", _OWN_FOLDER / "korean.txt")
_ALLOW = "allow:"
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ASCII_LETTER = re.compile("[a-z0-9]")
_MIN_LATIN_LETTERS = 2  # "a" alone would be in nearly every reply
_MAX_LETTERS = 100

# Scripts that put no blank between words: an entry in one is found wherever it stands.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0eff\u1000-\u109f]")
_LATIN_LETTER = f"[^\\W{HANGUL}]"  # or a letter of any script with blanks, or a digit
_LOOSE_CONSONANT = "[\u1100-\u110e\u1110\u1111\u1113-\u115e]"  # ㅋ and ㅎ are laughter
# What people put before an insult without a blank, and the particles and endings after a word.
_BEFORE = (
    "개|아|야|어|오|이|그|저|너|니|왜|뭐|또|참|왕|에이|아오|아이|이런|저런|그런|미친|진짜|완전|존나"
)
_AFTER = (
    "이|가|은|는|을|를|아|야|의|에|도|만|로|으로|와|과|랑|하고|한테|에게|보다|처럼|들|놈|년|것|님|"
    "같은|같이|같아|같네|같다|새끼|자식|다|네|냐|니|지|죠|요|임|인|인데|인가|이라|라고|라니|라는|"
    "예요|이에요|입니다|이랑|이나|이든|까지|부터|마저|조차|뿐|밖에|끼리"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A word or phrase of a list, folded; whether it may begin or end in the middle of a word."""

    text: str
    is_open_before: bool = False
    is_open_after: bool = False
    is_allowed: bool = False


class BlockedWords:
    """Finds blocked words in a text, however they are written; what is allowed is no alarm."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        known = list(entries)
        self._blocked = _Patterns(entry for entry in known if not entry.is_allowed)
        self._allowed = _Patterns(entry for entry in known if entry.is_allowed)

    def is_blocked(self, text: str) -> bool:
        """Whether `text` has a blocked word in any of its readings."""
        return any(
            self._blocked.has_any(reading) and self._blocked.has_any(self._allowed.cut_out(reading))
            for reading in readings(text)
        )


def is_blocked(text: str) -> bool:
    """Whether `text` has a word of the project's own list."""
    return _own_words().is_blocked(text)


def load_blocked_words(path: Path | None = None) -> BlockedWords:
    """The project's own list, and what the file at `path` adds to it or allows.

    Raises WrongSettingsError for a file that cannot be read or has a line of another form.
    """
    files = _OWN_LISTS if path is None else (*_OWN_LISTS, path)
    return BlockedWords(entry for file in files for entry in _read(file))


@cache
def _own_words() -> BlockedWords:
    return load_blocked_words()


def _read(path: Path) -> list[Entry]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows' editor writes a mark
    except UnicodeDecodeError as error:
        raise WrongSettingsError(
            "{file} is not UTF-8 text: save it as UTF-8.", file=path
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise WrongSettingsError(
            "BLOCKED_WORDS must be on, off or a file of words; {file} cannot be read: {reason}.",
            file=path,
            reason=getattr(error, "strerror", None) or error,
        ) from error
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        written = _COMMENT.sub("", line).strip()
        if not written:
            continue
        entry = _parse(written)
        if entry is None:
            raise WrongSettingsError(
                "Line {line} of {file} is not a word or phrase to block: write letters, * only at "
                "an end, or allow: and a word.",
                line=number,
                file=path,
            )
        entries.append(entry)
    return entries


def _parse(written: str) -> Entry | None:
    """The entry of a line, or None where the line has another form."""
    is_allowed = written.casefold().startswith(_ALLOW)
    word = written[len(_ALLOW) :].strip() if is_allowed else written
    bare = word.removeprefix("*").removesuffix("*")
    text = spaced(fold(bare))
    least = _MIN_LATIN_LETTERS if text.isascii() else 1
    if "*" in bare or ":" in bare or not least <= len(text) <= _MAX_LETTERS:
        return None
    return Entry(text, word.startswith("*"), word.endswith("*"), is_allowed)


class _Patterns:
    """Entries as patterns; those that cannot be in a text for want of its letters are left out."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        known = list(entries)
        self._ascii = _compile(entry for entry in known if entry.text.isascii())
        self._others = _compile(entry for entry in known if not entry.text.isascii())

    def has_any(self, reading: str) -> bool:
        return any(pattern.search(reading) for pattern in self._for(reading))

    def cut_out(self, reading: str) -> str:
        for pattern in self._for(reading):
            reading = pattern.sub("·", reading)
        return reading

    def _for(self, reading: str) -> Sequence[re.Pattern[str]]:
        if reading.isascii():
            return self._ascii
        return [*self._ascii, *self._others] if _ASCII_LETTER.search(reading) else self._others


def _compile(entries: Iterable[Entry]) -> list[re.Pattern[str]]:
    """One pattern for all entries that begin and end in the same way."""
    texts: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        texts.setdefault(_bounds(entry), set()).add(entry.text)
    return [
        re.compile(f"{before}(?:{_alternation(map(_runs, same))}){{1,9}}{after}")
        for (before, after), same in texts.items()
    ]


def _bounds(entry: Entry) -> tuple[str, str]:
    """What has to stand before and after an entry, as patterns."""
    if _UNSPACED.search(entry.text):
        return "", ""
    if re.fullmatch("[\u1100-\u115e]+", entry.text):  # initials only, as in ㅅㅂ
        return f"(?<!{_LOOSE_CONSONANT})", f"(?!{_LOOSE_CONSONANT})"
    if re.search(f"[{HANGUL}]", entry.text):
        before = f"(?<![0-9가-힣])(?:{_BEFORE}){{0,2}}"
        after = f"(?:{_AFTER}){{0,3}}(?![가-힣])"
    else:
        before, after = f"(?<!{_LATIN_LETTER})", f"(?!{_LATIN_LETTER})"
    return "" if entry.is_open_before else before, "" if entry.is_open_after else after


def _runs(text: str) -> tuple[str, ...]:
    """The letters of `text` as patterns: each may be repeated, none may be left out."""
    runs = ((letter, sum(1 for _ in run)) for letter, run in groupby(text))
    return tuple(
        " " if letter == " " else f"{letter}{{{min(length, MAX_RUN)},}}" for letter, length in runs
    )


def _alternation(words: Iterable[tuple[str, ...]]) -> str:
    """A pattern for any of `words` (tuples of patterns) that looks at a common beginning once."""
    branches = []
    is_end = False
    for first, group in groupby(sorted(words), key=lambda word: word[:1]):
        if not first:
            is_end = True
            continue
        branches.append(first[0] + _alternation(word[1:] for word in group))
    if not branches:
        return ""
    whole = branches[0] if len(branches) == 1 and not is_end else f"(?:{'|'.join(branches)})"
    return f"{whole}?" if is_end else whole
