"""Reads replies from a file, one line at a time: text, or objects in one of two shapes.

One reply a line; or a JSON object a line, `{"prompt": …, "completion": …}` or `{"turns": […]}`,
each with `"references": […]` if there are any. In `{"turns": […]}` every second turn is the
bot's and is judged; where references are given, only the last turn is, since they belong to it.
A first line `{"run": {…}}` says how the replies were made. Nothing is dropped: an empty reply is
a reply.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from evaluation.errors import InputError
from evaluation.item import Item

RUN = "run"
SILENCE = "__SILENCE__"  # ParlAI's mark for a speaker who has not begun
_REFERENCES = "references"
Row = Mapping[str, object]


def read_items(path: Path, references: Sequence[Path] = ()) -> Iterator[Item]:
    """The replies of the file at `path`, in order.

    `references`: files with one reference a line, in the order of the replies, for a file of
    plain text. Raises InputError, which names the line and the mend.
    """
    if references and not _is_text(path):
        raise InputError(
            f"{path}: its lines are objects, so put the references into them as "
            f'"{_REFERENCES}": ["…"] instead of giving files.'
        )
    if _is_text(path):
        yield from _read_text(path, references)
        return
    for number, row in read_rows(path):
        yield from _items_of(row, f"{path}, line {number}", number)


def read_run(path: Path) -> Row:
    """What the file says about how its replies were made; empty where it says nothing."""
    first = next(_lines(path), (1, ""))[1]
    if not first.startswith("{"):
        return {}
    about = _parse(first, f"{path}, line 1").get(RUN)
    return about if isinstance(about, dict) else {}


def read_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """The objects of a file with their line numbers, without the line on the run."""
    blank = 0
    for number, line in _lines(path):
        if not line.strip():
            blank = blank or number
            continue
        if blank:
            raise InputError(
                f"{path}, line {blank} is blank: remove it, or write the reply that belongs "
                'there, {"prompt": "…", "completion": ""} if it is empty.'
            )
        row = _parse(line, f"{path}, line {number}")
        if RUN not in row:
            yield number, row


def read_dialogues(path: Path) -> Iterator[tuple[str, ...]]:
    """The dialogues of a file of `{"turns": […]}`; a turn is never empty. Raises InputError."""
    for number, row in read_rows(path):
        place = f"{path}, line {number}"
        turns = _sentences(row.get("turns"), place, "turns")
        if not turns:
            raise InputError(f"{place} has no turns: remove the line.")
        yield turns


def _read_text(path: Path, references: Sequence[Path]) -> Iterator[Item]:
    columns = [_lines(one) for one in (path, *references)]
    for number, cells in enumerate(zip_longest(*columns), start=1):
        missing = [one for one, cell in zip((path, *references), cells, strict=True) if not cell]
        if missing:
            raise InputError(
                f"{missing[0]} ends before line {number}, another file does not: replies and "
                "references have to be line for line."
            )
        texts = [cell[1] for cell in cells]
        yield Item(texts[0], references=tuple(filter(str.strip, texts[1:])), group=number)


def _items_of(row: Row, place: str, number: int) -> Iterator[Item]:
    if "completion" in row:
        yield _answer_of(row, place, number)
        return
    if "turns" not in row:
        raise InputError(
            f"{place} has neither a completion nor turns, but {', '.join(row) or 'nothing'}: write "
            '{"prompt": "…", "completion": "…"} or {"turns": ["…", "…"]}.'
        )
    turns = _sentences(row["turns"], place, "turns")
    references = _references_of(row, place)
    first = len(turns) - 1 if references else 1
    for i in range(max(first, 0), len(turns), 2):
        history = tuple(turn for turn in turns[:i] if turn != SILENCE)
        yield Item(turns[i], history, references, number)


def _answer_of(row: Row, place: str, number: int) -> Item:
    prompt, completion = row.get("prompt", ()), row["completion"]
    if not isinstance(completion, str):
        raise InputError(f"{place}: the completion is {_kind(completion)}. {_mend(completion)}")
    group = row.get("dialogue", number)
    return Item(
        completion,
        (prompt,) if isinstance(prompt, str) else _sentences(prompt, place, "prompt"),
        _references_of(row, place),
        group if isinstance(group, int) else number,
        row.get("fallback") is True,
        *_making_of(row),
    )


def _making_of(row: Row) -> tuple[float, int, float | None]:
    """What `generate` knows of a reply: log-probability, tokens, seconds."""
    logprob, num_tokens, seconds = (row.get(key) for key in ("logprob", "num_tokens", "seconds"))
    time = float(seconds) if isinstance(seconds, int | float) else None
    if isinstance(logprob, int | float) and isinstance(num_tokens, int):
        return float(logprob), num_tokens, time
    return 0.0, 0, time


def _references_of(row: Row, place: str) -> tuple[str, ...]:
    references = row.get(_REFERENCES, row.get("reference", ()))
    if isinstance(references, str):
        return (references,)
    return _sentences(references, place, _REFERENCES)


def _sentences(value: object, place: str, name: str) -> tuple[str, ...]:
    """`value` as sentences. Raises InputError where it is something else."""
    if not isinstance(value, list | tuple):
        raise InputError(f'{place}: {name} is {_kind(value)}: write a list, ["…", "…"].')
    for i, sentence in enumerate(value, start=1):
        if not isinstance(sentence, str):
            raise InputError(f"{place}: item {i} of {name} is {_kind(sentence)}. {_mend(sentence)}")
    return tuple(value)


def _kind(value: object) -> str:
    kinds = {
        str: "a text",
        list: "a list",
        dict: "an object",
        bool: "true or false",
        type(None): "null",
    }
    return kinds.get(type(value), "a number")


def _mend(value: object) -> str:
    if isinstance(value, list):
        return 'A sentence is wanted, not its tokens: join them, "like this".'
    return 'A sentence is wanted: write it as "…", or "" if there is none.'


def _is_text(path: Path) -> bool:
    first = next(_lines(path), (1, ""))[1].lstrip()
    if first.startswith("[") and path.suffix in {".json", ".jsonl"}:
        raise InputError(
            f"{path} is one JSON list: write one object a line instead, which is what .jsonl means."
        )
    return not first.startswith("{") and path.suffix != ".jsonl"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of the file with their numbers; only a newline ends a line."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{path}, line {number} is not UTF-8: save the file as UTF-8."
                    ) from error
                yield number, text.rstrip("\r\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def _parse(line: str, place: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{place} is no JSON object ({error.msg}, column {error.colno}): every line of the "
            "file has to be one, since its first line is."
        ) from error
    if not isinstance(row, dict):
        raise InputError(f'{place} is {_kind(row)}, not an object: write {{"turns": ["…", "…"]}}.')
    return row
