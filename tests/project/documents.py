"""What the documents name (code, links, tables, folders), and what there is of it."""

import argparse
import ast
import builtins
import importlib
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from itertools import chain
from pathlib import Path

from discord import app_commands
from discord.ext import commands

from bot.client.chat_bot import EXTENSIONS
from bot.terminal.arguments import build_parser
from tests.project.source_tree import PACKAGES, ROOT, SHIPPED, modules

IGNORED = [".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().split())]
READMES = {"en": ROOT / "README.md", "ko": ROOT / "README.ko.md"}
ENV_EXAMPLE = ROOT / ".env.example"
ARCHITECTURE, MODELS, SETTINGS, TROUBLESHOOTING = (
    ROOT / "docs" / f"{name}.md"
    for name in ("architecture", "models", "settings", "troubleshooting")
)
MARKDOWN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)|<(https?:[^>\s]+)>")
_RULE = re.compile(r"\|[-|: ]+\|")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    """What stands between fences."""
    return _FENCED.findall(text)


def spans(text: str) -> list[str]:
    """Inline code, outside of fences."""
    return _SPAN.findall(_FENCED.sub("", text))


def code(path: Path) -> Iterator[str]:
    """Every piece of code of a document: inline, and a line of what is fenced."""
    text = read(path)
    if path.suffix != ".md":
        yield from text.splitlines()
        return
    yield from spans(text)
    for block in blocks(text):
        yield from (line.strip() for line in block.splitlines())


def links(text: str) -> list[str]:
    return [inner or outer for inner, outer in _LINK.findall(text)]


def anchors(text: str) -> set[str]:
    """What a link may point at in a document: its headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def levels(text: str) -> list[int]:
    """How deep each heading is, in order."""
    return [len(marks) for marks in re.findall(r"^(#+) ", _FENCED.sub("", text), re.MULTILINE)]


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table, row by row; the first row is its head."""
    found: list[list[list[str]]] = [[]]
    for line in _FENCED.sub("", text).splitlines():
        if not line.startswith("|"):
            found.append([])
        elif not _RULE.fullmatch(line):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    return [table for table in found if table]


def table_with(text: str, cell: str) -> dict[str, list[str]]:
    """The table whose first column holds `cell`: its other cells by the first one."""
    for table in tables(text):
        rows = {first: others for first, *others in table[1:]}
        if cell in rows:
            assert len(rows) == len(table) - 1, "a row stands there twice"
            return rows
    raise AssertionError(cell)


def folders_of(text: str) -> list[str]:
    """The folders of the list in architecture.md, one a line with what it holds."""
    (block,) = [one for one in blocks(text) if one.startswith("bot/ ")]
    rows = [line.split(maxsplit=1) for line in block.splitlines()]
    assert all(explanation for _, explanation in rows)
    return [folder for folder, _ in rows]


def is_ours(path: Path) -> bool:
    """Whether git would keep it: it ignores some names, and folders without a file."""
    if any(fnmatch(path.name, pattern) for pattern in IGNORED):
        return False
    return path.is_file() or any(is_ours(inner) for inner in path.iterdir())


def listing(folder: str) -> set[str]:
    """What stands in a folder of the project."""
    return {
        f"{folder}{path.name}{'/' if path.is_dir() else ''}"
        for path in (ROOT / folder).iterdir()
        if path.name != "__init__.py" and is_ours(path)
    }


@cache
def grammar() -> dict[str, set[str]]:
    """The commands of the command line, each with its options and actions."""

    def inner(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
        choices = [one.choices for one in parser._actions if isinstance(one.choices, dict)]
        return choices[0] if choices else {}

    found = {}
    for name, parser in inner(build_parser("en")).items():
        found[name] = {option for one in parser._actions for option in one.option_strings}
        for action, its_parser in inner(parser).items():
            found[name] |= {action}
            found[name] |= {option for one in its_parser._actions for option in one.option_strings}
    return found


@cache
def slash_commands() -> frozenset[str]:
    """Every command of the cogs that can be used on Discord, such as `mydata export`."""
    cogs = [
        cog
        for name in EXTENSIONS
        for cog in vars(importlib.import_module(name)).values()
        if isinstance(cog, type) and issubclass(cog, commands.Cog) and cog.__module__ == name
    ]
    top = [command for cog in cogs for command in cog.__cog_app_commands__]
    groups = [group for group in top if isinstance(group, app_commands.Group)]
    inside = chain.from_iterable(group.walk_commands() for group in groups)
    usable = [one for one in chain(top, inside) if isinstance(one, app_commands.Command)]
    return frozenset(command.qualified_name for command in usable)


def folders() -> set[str]:
    """The folders of the project, and below `bot` and `cogs` every one with code in it."""
    inside = {path.parent for name in SHIPPED for path in (ROOT / name).rglob("*.py")}
    top = {path for path in listing("") if path.endswith("/")}
    return top | {f"{folder.relative_to(ROOT).as_posix()}/" for folder in inside}


def classes_in(piece: str) -> set[str]:
    """What looks like a class: `TwoHumps` anywhere in a piece of code, `One` at its beginning."""
    several = re.findall(r"(?<![\w./-])[A-Z][a-z]+(?:[A-Z][a-z0-9]*)+(?![\w/-])", piece)
    return {*several, *re.findall(r"^[A-Z][a-z]\w*(?=$|[.(]\w)", piece)} - listing("")


@cache
def class_names() -> frozenset[str]:
    """Every class of the project, and those that Python has built in."""
    nodes = (node for module in modules() for node in module.nodes(ast.ClassDef))
    return frozenset(
        {node.name for node in nodes if isinstance(node, ast.ClassDef)} | {*dir(builtins)}
    )


@cache
def python_files() -> frozenset[str]:
    return frozenset(path.name for name in PACKAGES for path in (ROOT / name).rglob("*.py"))


def slashed(text: str) -> set[str]:
    """The slash commands that inline code names, one for each of `/mydata export|erase`."""
    found: set[str] = set()
    for span in spans(text):
        if named := re.match(r"/([a-z]+)(?: ([a-z|]+))?(?![\w:/.|-])", span):
            name, actions = named.groups()
            found |= {f"{name} {one}" for one in actions.split("|")} if actions else {name}
    return found
