"""Where sentences end in what a model wrote: not after "2.", "Mr." and "J. R. R."."""

import re
from collections.abc import Iterator

STOPS, UNSPACED_STOPS, CLOSERS = ".!?…", "。！？", "\"'”’)]*_」』）"
# Korean is often written without the space: 좋아요!그래서
_END = re.compile(
    f"[{re.escape(STOPS)}][{re.escape(CLOSERS)}]*(?=\\s|$)"
    f"|(?<=[가-힣])[{re.escape(STOPS)}](?=[가-힣])"
    f"|[{UNSPACED_STOPS}][{re.escape(CLOSERS)}]*"
)
_MARKUP = r"[\s>*_#(•–-]*"  # what a list is set with, before its numbers
_NUMBER = re.compile(
    rf"(?:^|[{re.escape(STOPS + UNSPACED_STOPS)}:][{re.escape(CLOSERS)}]*\s){_MARKUP}"
    r"\d{1,3}(?:\.\d{1,3})*\Z"
    rf"|^{_MARKUP}[가나다라마바사아자차카타파하]\Z"
)
_TITLE = re.compile(
    r"(?<!\w)(?:mr|mrs|ms|mx|messrs|dr|prof|st|sr|jr|rev|hon|gen|col|capt|lt|sgt|gov|sen|rep|pres|mt"
    r"|vs|etc|cf|al|approx|ca|viz|incl|esp|dept|inc|ltd|co|corp|ave|blvd)\Z",
    re.IGNORECASE,
)
_INITIAL = re.compile(r"(?<!\w)[A-Za-zÀ-ÖØ-öø-ÿА-я]\Z")
_PRONOUN = re.compile(r"(?<!\w)[a-z']+ I\Z")  # "as tall as I."


def sentence_ends(text: str) -> Iterator[int]:
    """Where a sentence of `text` is over, in order."""
    return (end.end() for end in _END.finditer(text) if ends_sentence(text[: end.start() + 1]))


def ends_sentence(text: str) -> bool:
    """Whether the stop at the end of `text` ends a sentence.

    A full stop does not after a number that begins a line or a sentence, after a title or
    another abbreviation, and after an initial.
    """
    if text[-1:] != ".":
        return True
    line = text[text.rfind("\n") + 1 : -1]
    if _NUMBER.search(line) or _TITLE.search(line):
        return False
    return _INITIAL.search(line) is None or _PRONOUN.search(line) is not None


def without_open_end(text: str) -> str:
    """`text` without the numbers, titles and initials at its end, and the blanks before them."""
    while not ends_sentence(text.rstrip(CLOSERS)):
        text = re.sub(r"\S+\Z", "", text).rstrip()
    return text
