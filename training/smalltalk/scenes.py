"""Scenes: what is said in small talk, read from the text files beside this module.

A scene begins with `== title *weight tags`. `>` is what a member says, `<` what the bot answers;
neighbouring lines of one sign are alternatives. `/` begins one of several ways to go on. `%` is a
row of texts that belong together, parted by `=>`, called `{1}`, `{2}` … in the scene.
`@` in a scene tagged `after` or `answer` is a question of the bot that the scene answers.
A block `== recall fact` asks for a fact: `>` questions, `<` answers, `~` answers to who never
told it. The tag `fact=name` marks a scene that tells it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training.smalltalk.template import Sequence, parse

_FOLDER = Path(__file__).parent / "scenes"
_HEADING = re.compile(r"== (?P<title>[^*]+?)(?: \*(?P<weight>[\d.]+)(?P<tags>(?: [\w=]+)*))?")


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of a scene: the alternatives that say it."""

    by_bot: bool
    options: tuple[Sequence, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """A piece of small talk: a trunk of turns, then one of the branches.

    `tags`: opening, closing, reaction, after (only after one of `questions`), answer (only
    after the bot asked for its fact), known (no made-up words: they would mislead).
    """

    title: str
    weight: float
    language: str
    tags: frozenset[str]
    facts: tuple[str, ...]
    trunk: tuple[Line, ...]
    branches: tuple[tuple[Line, ...], ...]
    rows: tuple[tuple[Sequence, ...], ...]
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """How a told fact is asked for."""

    fact: str
    language: str
    questions: tuple[Sequence, ...]
    answers: tuple[Sequence, ...]
    untold: tuple[Sequence, ...]


@dataclass(frozen=True, slots=True)
class Book:
    """All that was read."""

    scenes: tuple[Scene, ...]
    recalls: tuple[Recall, ...]


@dataclass(slots=True)
class _Draft:
    heading: re.Match[str]
    trunk: list[tuple[str, str]] = field(default_factory=list)
    branches: list[list[tuple[str, str]]] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


def load_book(folder: Path = _FOLDER) -> Book:
    """Every scene in `folder`; files whose name begins with `korean` are in Korean.

    Raises ValueError with the place of a line that has no form.
    """
    scenes: list[Scene] = []
    recalls: list[Recall] = []
    for path in sorted(folder.glob("*.txt")):
        language = "ko" if path.name.startswith("korean") else "en"
        for draft in _read_drafts(path):
            if draft.heading["title"].startswith("recall "):
                recalls.append(_recall(draft, language))
            else:
                scenes.append(_scene(draft, language))
    return Book(tuple(scenes), tuple(recalls))


def _read_drafts(path: Path) -> Iterator[_Draft]:
    draft: _Draft | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        heading = _HEADING.fullmatch(text)
        if heading is not None:
            if draft is not None:
                yield draft
            draft = _Draft(heading)
        elif draft is None or text[0] not in "></%~@":
            raise ValueError(f"{path.name}:{number}: not a line of a scene: {text!r}")
        else:
            _add_line(draft, text)
    if draft is not None:
        yield draft


def _add_line(draft: _Draft, text: str) -> None:
    if text[0] in "%@":
        rows = draft.rows if text[0] == "%" else draft.questions
        rows.append(text[1:].strip())
        return
    if text[0] == "/":
        draft.branches.append([])
        text = text[1:].strip()
    if text:
        target = draft.branches[-1] if draft.branches else draft.trunk
        target.append((text[0], text[1:].strip()))


def _lines(marked: list[tuple[str, str]]) -> tuple[Line, ...]:
    lines: list[Line] = []
    for mark, text in marked:
        by_bot, option = mark == "<", parse(text)
        if lines and lines[-1].by_bot == by_bot:
            lines[-1] = Line(by_bot, (*lines[-1].options, option))
        else:
            lines.append(Line(by_bot, (option,)))
    return tuple(lines)


def _scene(draft: _Draft, language: str) -> Scene:
    title, tags = draft.heading["title"], (draft.heading["tags"] or "").split()
    scene = Scene(
        title=title,
        weight=float(draft.heading["weight"] or 1),
        language=language,
        tags=frozenset(tag for tag in tags if "=" not in tag),
        facts=tuple(tag.partition("=")[2] for tag in tags if tag.startswith("fact=")),
        trunk=_lines(draft.trunk),
        branches=tuple(_lines(branch) for branch in draft.branches),
        rows=tuple(tuple(parse(cell.strip()) for cell in row.split("=>")) for row in draft.rows),
        questions=tuple(draft.questions),
    )
    for branch in scene.branches or ((),):
        speakers = [line.by_bot for line in (*scene.trunk, *branch)]
        if not speakers or speakers != [False, True] * (len(speakers) // 2):
            raise ValueError(f"the scene {title!r} does not alternate from member to bot")
    return scene


def _recall(draft: _Draft, language: str) -> Recall:
    by_mark = {
        mark: tuple(parse(text) for sign, text in draft.trunk if sign == mark) for mark in "><~"
    }
    fact = draft.heading["title"].removeprefix("recall ")
    if not all(by_mark.values()):
        raise ValueError(f"the recall of {fact!r} lacks questions, answers or untold answers")
    return Recall(fact, language, by_mark[">"], by_mark["<"], by_mark["~"])
