"""What the documents say of the project is so: files, commands, settings, links."""

import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot.__main__ import COMMANDS
from bot.grammar import build_parser
from bot.settings import VARIABLES
from tests.source_tree import ROOT, everywhere

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
IGNORED = [".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().split())]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def tree_of(text: str) -> Iterator[str]:
    """The paths of the tree in the README, folders with a slash at the end."""
    folders: list[str] = []
    tree = text.partition("## What is where\n\n```\n")[2].partition("```")[0]
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        del folders[depth:]
        name = line.split()[0]
        yield "".join(folders) + name
        if name.endswith("/"):
            folders.append(name)


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


def test_the_tree_of_the_readme_names_what_there_is() -> None:
    missing = [path for path in tree_of(README) if not (ROOT / path).exists()]
    assert not missing


def test_the_readme_names_every_file_of_the_folders_it_opens() -> None:
    named = set(tree_of(README))
    opened = {"", *(path for path in named if any(p != path and p.startswith(path) for p in named))}
    opened -= {path for path in opened if path and not path.endswith("/")}
    forgotten = {path for folder in opened for path in listing(folder)} - named
    assert not forgotten


def test_every_file_of_the_ten_second_finder_exists() -> None:
    table = README.split("| I want to change …")[1].split("\n\n")[0]
    paths = re.findall(r"[\w.]+(?:/[\w.]+)+|\.env\.example", table)
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []


@documents
def test_every_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


@documents
def test_every_command_named_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets
    assert set(re.findall(r"python -m bot ([a-z]+)", text)) <= COMMANDS.keys()
    programs = re.findall(r"python -m ((?:benchmarks|training|evaluation)\.[a-z]+)", text)
    assert [name for name in programs if not (ROOT / f"{name.replace('.', '/')}.py").exists()] == []


@documents
def test_every_setting_named_exists(path: Path) -> None:
    """A word like `LOG_LEVEL` or `MODEL=…` in a document is a setting."""
    named = re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", path.read_text(encoding="utf-8"))
    assert set(named) - {"BEGIN_IMMEDIATE"} <= set(VARIABLES)


def test_every_make_target_is_phony_and_explained() -> None:
    phony = set(re.search(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)[1].split())  # type: ignore[index]
    explained = set(re.findall(r'@echo "make ([a-z]+) ', MAKEFILE))
    assert explained == phony - {"help"}


def test_every_command_of_the_command_line_is_in_the_readme() -> None:
    usage = build_parser("en").format_help()
    for command in COMMANDS.keys() - {"run", "version"}:
        assert command in usage
        assert f"python -m bot {command}" in README


def test_every_slash_command_is_in_the_readme() -> None:
    names = {
        name
        for module in everywhere("cogs")
        for name in re.findall(
            r'app_commands\.(?:command|Group)\(\s*name="([a-z]+)"',
            module.path.read_text(encoding="utf-8"),
        )
    }
    assert names
    assert set(re.findall(r"`/([a-z]+)", README)) == names


def test_every_decision_has_a_number_and_the_four_parts() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings[0].startswith(f"{int(page.name[:4])}. ")
        assert headings[1:] == ["Context", "Decision", "Consequences"]


def test_the_constraints_pin_every_dependency_within_its_range() -> None:
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = [line for line in constraints.splitlines() if not line.startswith("#")]
    pins = {canonicalize_name(pin.name): pin.specifier for pin in map(Requirement, lines)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    for requirement in map(Requirement, chain(project["dependencies"], extras)):
        (pin,) = pins[canonicalize_name(requirement.name)]
        assert pin.operator == "=="
        assert "+" not in pin.version  # a local build is not on every index
        assert requirement.specifier.contains(pin.version)
