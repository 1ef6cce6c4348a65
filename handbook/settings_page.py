"""Makes docs/settings.md from what the code says of its settings: `make settings`.

Names, defaults and what is allowed are those of `Settings`; what a variable is for is the comment
above it in `.env.example`, and stands nowhere else.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from bot.settings.settings import Id, Settings

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / ".env.example"
PAGE = ROOT / "docs" / "settings.md"
NONE = "–"
HEAD = """\
# Settings

*Made by `make settings`: the comments are those of [.env.example](../.env.example).*

A setting is a line in `.env`, in the folder that the bot is started in, or a variable of the
environment, which wins. An empty value means "not set", an empty list "no limit". A wrong value
stops the start with a sentence that says what is allowed, and so does a name that is nearly one of
these. A change needs a restart; what members change with `/settings` on Discord does not.
"""
COLUMNS = "| variable | default | allowed | what for |\n|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Entry:
    """A variable and what it is for; `title` is the section of the example that it stands in."""

    title: str
    name: str
    purpose: str


def entries(example: str) -> Iterator[Entry]:
    """The variables of the example, in its order; one that is commented out is another program's.

    Raises ValueError for a variable without a comment above it.
    """
    title, comment = "", ""
    for line in example.splitlines():
        if section := re.fullmatch(r"# -- (.+?) -+", line):
            title = section[1]
        elif variable := re.fullmatch(r"(?:# )?([A-Z_]+)=.*", line):
            if not comment:
                raise ValueError(f"{variable[1]} has no comment above it")
            yield Entry(title, variable[1], comment)
        comment = line.removeprefix("# ") if line.startswith("# ") else ""


def settings_page(example: str) -> str:
    """The page, made from the text of the example and the fields of `Settings`."""
    lines, title = [HEAD], ""
    for entry in entries(example):
        if entry.title != title:
            title = entry.title
            lines.append(f"{'' if len(lines) == 1 else chr(10)}## {title}\n\n{COLUMNS}")
        lines.append(_row(entry))
    return "\n".join(lines) + "\n"


def _row(entry: Entry) -> str:
    field = Settings.model_fields.get(entry.name.lower())
    default = NONE if field is None else _default(field.default)
    kind = "text" if field is None else _allowed(field)
    purpose = re.sub(r"<?(https?://[^\s,]*[^\s,.:;])", r"<\1>", entry.purpose)
    return f"| `{entry.name}` | {default} | {kind} | {purpose.replace('|', '&#124;')} |"


def _default(value: object) -> str:
    match value:
        case None | frozenset():
            return NONE
        case bool():
            return "`on`" if value else "`off`"
        case float():
            return f"`{value:g}`"
    return f"`{value}`"


def _allowed(field: FieldInfo) -> str:
    """What a person may write for a field, as its type and its bounds say."""
    kind, parts = field.annotation, get_args(field.annotation)
    lows = [mark.ge for mark in field.metadata if hasattr(mark, "ge")]
    highs = [mark.le for mark in field.metadata if hasattr(mark, "le")]
    if lows and highs:
        return f"{lows[0]} to {highs[0]}"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in parts)
    if kind is bool or bool in parts:
        return "`on`, `off`, a file" if Path in parts else "`on`, `off`"
    if Id in parts:
        return "ids" if get_origin(kind) is frozenset else "an id"
    return "text"


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(settings_page(EXAMPLE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
