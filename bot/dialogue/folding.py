"""Text as a reader takes it: one plain letter for every way to write it, however it is set."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, partial

from bot.dialogue.text import is_blank

HANGUL = "가-힣\u1100-\u11ff"  # syllables, and jamo that stand alone
MAX_RUN = 4  # of one letter: what is longer reads the same, and costs time

# Letters that look like a Latin one and that Unicode does not decompose into it.
_LOOKALIKES = {
    char: letter
    for letter, chars in {
        "a": "АаΑαɑᴀ", "b": "ВвΒβьʙᏏ", "c": "СсᴄϲҫϹ", "d": "ԁđĐᴅδԀ", "e": "ЕеЄєΕεᴇɛҽ", "f": "ƒғҒꜰſ",
        "g": "ɡɢցԌ", "h": "НнΗһҺհħʜ", "i": "ІіΙιıӀӏɩɪ", "j": "ЈјϳᴊЈ", "k": "КкΚκᴋқҚ", "l": "łŁʟⅼ",
        "m": "МмΜμᴍ", "n": "ΝηոпПɴ", "o": "ОоΟοσΣօøØᴏθ", "p": "РрΡρᴘ", "q": "ԛԚգ", "r": "гʀɼЯя",
        "s": "ЅѕꜱςʂՏ", "t": "ТтΤτᴛŧҭ", "u": "υսᴜцЦʋ", "v": "νѵѴᴠ", "w": "ωԝԜѡᴡшШ", "x": "ХхΧχ",
        "y": "УуΥүҮуγʏ", "z": "Ζζᴢʐ",
    }.items()
    for char in chars
}  # fmt: skip
# Letters in boxes and in disks; the letters of flags.
_BOXES = (0x1F150, 0x1F170, 0x1F1E6)

# Signs and digits that stand for letters. 1, ! and | are read as i and, another time, as l.
_SIGNS = {"4": "a", "@": "a", "3": "e", "€": "e", "0": "o", "5": "s", "$": "s", "7": "t", "+": "t"}
_SIGNS |= {"8": "b", "9": "g"}
_SIGNS |= {"'": " ", "’": " ", "‘": " ", "`": " "}  # "who're" is not one word
_SIGNS_I = str.maketrans(_SIGNS | {"1": "i", "!": "i", "|": "i"})
_SIGNS_L = str.maketrans(_SIGNS | {"1": "l", "!": "l", "|": "l"})
_AMBIGUOUS = re.compile(r"[1!|](?=\S)")
_SENTENCE_SIGNS = ".,:;!?…\"'“”‘’()[]{}<>*_~-–—"

_LONG_RUN = re.compile(rf"(\w)\1{{{MAX_RUN},}}")
_BETWEEN_WORDS = re.compile(r"[\W_]+")
_IN_HANGUL = re.compile(rf"(?<=[{HANGUL}])(?:[^\w\s]|[\d_])+(?=[{HANGUL}])")
_CHUNK = re.compile(rf"[^\s{HANGUL}]+")
_LONE_SIGN = re.compile(r"(?<=\b[a-z] )[01345789@$!|+](?= [a-z]\b)")
_SPELT_LATIN = re.compile(r"(?<!\S)[a-z](?: [a-z]){2,}(?!\S)")
# After a name 씨 is a title: "민수 씨 발 다쳤어요?" is about his foot.
_SPELT_HANGUL = re.compile(rf"(?<!\S)(?!(?<=[가-힣][가-힣] )씨)[{HANGUL}](?: [{HANGUL}])+(?!\S)")
_LETTER_WORDS = "aiou"  # words of one letter, before or after a word that is spelt out

# In decomposed Hangul: a consonant that stands alone after a vowel; a vowel that is drawn out.
_LOOSE_FINAL = re.compile("(?<=[\u1161-\u1175])[\u1100-\u1112](?![\u1161-\u1175])")
_DRAWN_OUT = re.compile("([\u1161-\u1175])(?:\u110b\\1)+")
_INITIALS = "ㄱㄲㄴㄷㄹㅁㅂㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_FINALS = {
    unicodedata.normalize("NFKD", jamo): unicodedata.normalize("NFD", syllable)[2]
    for jamo, syllable in zip(_INITIALS, "악앆안앋알암압앗았앙앚앛앜앝앞앟", strict=True)
}


def fold(text: str) -> str:
    """`text` in plain small letters: no accents, no styles, no invisible signs, Hangul composed."""
    folded = unicodedata.normalize("NFC", text.translate(_letters()))
    return _shortened(folded)


def spaced(folded: str) -> str:
    """The words of a folded text, one blank between two."""
    return _BETWEEN_WORDS.sub(" ", folded).strip()


def readings(text: str) -> Iterator[str]:
    """Every way to read `text`, as words with one blank between two; the plain one first.

    Signs are read as letters ("sh1t"), signs inside a word are passed over ("f.u.c.k"), letters
    set apart are put together ("f u c k", "ㅅㅣㅂㅏㄹ"), and what is drawn out is shortened.
    """
    seen: set[str] = set()
    for reading in _spaced_readings(fold(text)):
        if reading in seen:
            continue
        seen.add(reading)
        yield reading
        composed = _composed(reading)
        if composed not in seen:
            seen.add(composed)
            yield composed


def _spaced_readings(folded: str) -> Iterator[str]:
    yield spaced(folded)
    for signs in (_SIGNS_I, _SIGNS_L) if _AMBIGUOUS.search(folded) else (_SIGNS_I,):
        tight = spaced(_tight(folded, signs))
        yield tight
        yield _SPELT_HANGUL.sub(_joined, _SPELT_LATIN.sub(_joined_latin, tight))


def _shortened(text: str) -> str:
    return _LONG_RUN.sub(lambda run: run[1] * MAX_RUN, text)


class _Letters(dict[int, str]):
    """For str.translate: works out how a character is folded when it first comes."""

    def __missing__(self, code: int) -> str:
        self[code] = _fold_character(chr(code))
        return self[code]


@cache
def _letters() -> _Letters:
    return _Letters()


def _fold_character(char: str) -> str:
    for start in _BOXES:
        if start <= ord(char) < start + 26:
            return chr(ord("a") + ord(char) - start)
    if char in _LOOKALIKES:
        return _LOOKALIKES[char]
    if char.isspace() or "가" <= char <= "힣":
        return char
    parts = (part for part in unicodedata.normalize("NFKD", char) if not is_blank(part))
    return "".join(_LOOKALIKES.get(part, part.casefold()) for part in parts)


def _tight(folded: str, signs: dict[int, str]) -> str:
    """Every word in one piece: signs inside it read as letters or passed over."""
    line = " ".join(_IN_HANGUL.sub("", folded).split())
    line = _LONE_SIGN.sub(lambda sign: sign[0].translate(signs), line)
    only_letters = partial(_only_letters, signs)
    return " ".join(
        word if word.isalpha() else _CHUNK.sub(only_letters, word) for word in line.split(" ")
    )


def _only_letters(signs: dict[int, str], chunk: re.Match[str]) -> str:
    core = chunk[0].strip(_SENTENCE_SIGNS)
    if core.isalpha():
        return core
    # "a55" is a telephone and "4x4" a car: a word is written with letters, most of it.
    num_digits = sum(map(str.isdigit, core))
    if not num_digits <= sum(map(str.isalpha, core)) > 0:
        return chunk[0]
    return "".join(char for char in core.translate(signs) if char.isalpha() or char == " ")


def _joined(spelt: re.Match[str]) -> str:
    return _shortened(unicodedata.normalize("NFC", spelt[0].replace(" ", "")))


def _joined_latin(spelt: re.Match[str]) -> str:
    """The word that was spelt out, also without a word of one letter before or after it."""
    word = _shortened(spelt[0].replace(" ", ""))
    shorter = word[1:] if word[0] in _LETTER_WORDS else word
    ends = {word, shorter}
    if word[-1] in _LETTER_WORDS:
        ends |= {word[:-1], shorter[:-1]}
    return " ".join(sorted(ends))


def _composed(reading: str) -> str:
    """Hangul with its loose final consonants put in place and its drawn-out vowels shortened."""
    if reading.isascii():
        return reading
    apart = unicodedata.normalize("NFD", reading)
    whole = _LOOSE_FINAL.sub(lambda jamo: _FINALS.get(jamo[0], jamo[0]), apart)
    return unicodedata.normalize("NFC", _DRAWN_OUT.sub(r"\1", whole))
