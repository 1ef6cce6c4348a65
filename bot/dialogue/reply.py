"""Tidy generated text, and split it for Discord."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from bot.dialogue.language.sentences import (
    CLOSERS,
    STOPS,
    UNSPACED_STOPS,
    ends_sentence,
    sentence_ends,
    without_open_end,
)
from bot.dialogue.links import break_links
from bot.dialogue.text import clean, graphemes, is_blank

MESSAGE_LIMIT = 2000  # code points in one Discord message
MIN_LIMIT = 32  # room for a fence with its language, its end and a character

_FENCE = "```"
_FENCE_END = "\n```"
_MARKER = re.compile("`{3,}")
_LANGUAGE = re.compile(r"[\w+\-.#]{1,16}(?=\n)")
_MENTION = re.compile(r"@(?=everyone|here)|(?<=<)@(?=[!&]?\d)", re.IGNORECASE)

_HALF_CHARACTER = re.compile("(?<![\\s\ufffd])[\\s\ufffd]+\\Z")  # its bytes were cut off
_WIDE_BLANK = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")
_BLANK_AT_LINE_END = re.compile(r"(?<=\S)[ \t]+(?=\n)")
_MIN_KEPT_SHARE = 0.5  # of a reply that is cut at its last sentence, line or word
_PARAGRAPH, _LINE, _SENTENCE, _WORD, _NOWHERE = 4, 3, 2, 1, 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What we send. `turn_id` is None for a reply that is not remembered."""

    text: str
    turn_id: int | None


def tidy(text: str, *, cut_off: bool) -> str:
    """Generated `text` as a person would send it; "" where nothing is left to see.

    `cut_off`: the length limit ended it, so it stops at its last sentence, else at its last whole
    line, else it shows that there would be more.
    """
    whole = _HALF_CHARACTER.sub("", clean(text))
    if is_blank(whole):
        return ""
    if _FENCE not in whole:  # in code, blanks mean something
        whole = _BLANK_AT_LINE_END.sub("", _WIDE_BLANK.sub(" ", whole))
    if cut_off:
        is_line_whole = text.rstrip(" \t").endswith("\n")
        whole = _rounded_off(whole, "\n" if is_line_whole else "")
    return defang(whole)


def defang(text: str) -> str:
    """`text` with U+200B inside every mention, invitation and link without a scheme.

    It reads the same, pings no one and leads nowhere.
    """
    return break_links(_MENTION.sub("@\u200b", text))


def _rounded_off(text: str, line_end: str) -> str:
    """`text`, after which there was `line_end`, up to the last place that is an end."""
    code_end = text.rfind(_FENCE) + len(_FENCE) if _FENCE in text else 0
    if text.count(_FENCE) % 2 == 1 or code_end == len(text):
        return text  # in the middle of code, which `split` closes, or at its end
    least = max(code_end, _MIN_KEPT_SHARE * len(text))
    end = max(sentence_ends(text), default=0)
    if end >= least:
        return text[:end]
    lines = without_open_end((text + line_end).rpartition("\n")[0].rstrip())
    if len(lines) >= least and len(lines) > code_end:
        return lines
    # The last word may be half a word; a text without spaces has none to leave out.
    kept = without_open_end(re.sub(r"\s+\S*$", "", text)).rstrip(",;:-–— ")
    return f"{kept if len(kept) >= least else text.rstrip('.')}…"


def split(text: str, limit: int = MESSAGE_LIMIT) -> list[str]:
    """`text` in pieces that Discord takes, in order; none for a text that shows nothing.

    A piece has at most `limit` UTF-16 units, and so at most as many code points. It ends at a
    paragraph, else a line, a sentence, a word, never inside a character as a reader sees it.
    Code that is cut is closed and opened again with its language. Blanks at the cuts are left
    out. Raises ValueError for a limit below MIN_LIMIT.
    """
    if limit < MIN_LIMIT:
        raise ValueError(f"no piece fits {limit} characters")
    pieces = [""]
    for block in _blocks(defang(text)):
        rest: _Block | None = block
        while rest is not None:
            part, rest = _take(rest, limit - _num_units(pieces[-1]), limit)
            pieces[-1] += part
            if rest is not None:
                pieces.append("")
    return [piece for piece in map(_trimmed, pieces) if not is_blank(piece)]


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch of prose (`opener` empty), or of code: `whole` with its fences, `body` without."""

    whole: str
    body: str
    opener: str = ""


def _blocks(text: str) -> Iterator[_Block]:
    at = 0
    for marker in _MARKER.finditer(text):
        if marker.start() < at:
            continue  # it closed the block before
        code, end = _code_at(text, marker)
        if code is not None:
            yield _Block(text[at : marker.start()], text[at : marker.start()])
            yield code
            at = end
    yield _Block(text[at:], text[at:])


def _code_at(text: str, marker: re.Match[str]) -> tuple[_Block | None, int]:
    """The code that `marker` opens, and where it ends; None where the marker is only text."""
    language = _LANGUAGE.match(text, marker.end())
    start = language.end() if language else marker.end()
    opener = f"{_FENCE}{language.group() if language else ''}\n"
    closer = _MARKER.search(text, start)
    body = text[start : closer.start() if closer else len(text)]
    if closer:
        return _Block(text[marker.start() : closer.end()], body, opener), closer.end()
    is_at_line_start = marker.start() == 0 or text[marker.start() - 1] == "\n"
    if is_blank(body) or not is_at_line_start:
        return None, marker.end()
    # The length limit ended the reply in the middle of code.
    return _Block(opener + body.strip("\n") + _FENCE_END, body, opener), len(text)


def _take(block: _Block, room: int, limit: int) -> tuple[str, _Block | None]:
    """What of `block` goes into a piece that has `room` left, and what remains of it.

    Takes nothing where a new piece, with `limit` for its room, serves it better.
    """
    if _num_units(block.whole) <= room:
        return block.whole, None
    is_new = room == limit
    if not block.opener:
        return _take_prose(block.body, room, is_new=is_new)
    if not is_new and (_num_units(block.whole) <= limit or room < max(limit // 2, MIN_LIMIT)):
        return "", block
    head, _ = _cut(block.body, room - len(block.opener) - len(_FENCE_END))
    rest = block.body[len(head) :].removeprefix("\n")
    part = "" if is_blank(head) else block.opener + head.strip("\n") + _FENCE_END
    whole = block.opener + rest.strip("\n") + _FENCE_END
    return part, None if is_blank(rest) else replace(block, whole=whole, body=rest)


def _take_prose(text: str, room: int, *, is_new: bool) -> tuple[str, _Block | None]:
    head, rank = _cut(text, room)
    if not is_new and rank == _NOWHERE:
        return "", _Block(text, text)
    rest = text[len(head) :]
    return head, _Block(rest, rest)


def _cut(text: str, room: int) -> tuple[str, int]:
    """The beginning of `text` that fits, and how good its end is."""
    # Whether a cluster ends before a character shows at that character: one more than fits.
    clusters = graphemes(text[: room + 1])
    sizes = accumulate(_num_units(cluster) for cluster in clusters)
    num_fitting = sum(size <= room for size in sizes)
    if num_fitting == len(clusters):
        return text, _PARAGRAPH
    if num_fitting == 0:
        return _cut_cluster(text, room), _NOWHERE
    # An end in the first half would be a waste of messages.
    ends = range(max(1, num_fitting // 2), num_fitting + 1)
    rank, end = max((_rank(clusters, i), i) for i in ends)
    return "".join(clusters[:end]), rank


def _cut_cluster(text: str, room: int) -> str:
    """The code points of a character so heaped with marks that it does not fit a message."""
    sizes = accumulate(_num_units(char) for char in text[:room])
    return text[: sum(size <= room for size in sizes)]


def _rank(clusters: list[str], end: int) -> int:
    """How good it is to end a piece before cluster number `end`."""
    before, after = clusters[end - 1], clusters[end]
    if before == "\n":
        return _PARAGRAPH if after == "\n" or clusters[end - 2 : end - 1] == ["\n"] else _LINE
    i = end - 1
    while i > 0 and clusters[i] in CLOSERS:
        i -= 1
    is_stop = clusters[i] in UNSPACED_STOPS or (after.isspace() and clusters[i] in STOPS)
    if is_stop and ends_sentence("".join(clusters[: i + 1])):
        return _SENTENCE
    return _WORD if before.isspace() or after.isspace() else _NOWHERE


def _trimmed(piece: str) -> str:
    """`piece` without the blanks around it; a blank that carries a mark is not one."""
    clusters = graphemes(piece)
    shown = [i for i, cluster in enumerate(clusters) if not cluster.isspace()]
    return "".join(clusters[shown[0] : shown[-1] + 1]) if shown else ""


def _num_units(text: str) -> int:
    """UTF-16 units, as Discord's clients count; two for a character beyond U+FFFF."""
    return len(text) + sum(char > "\uffff" for char in text)
