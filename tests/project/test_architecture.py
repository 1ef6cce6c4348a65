"""The rules of docs/architecture.md, checked on every file of the project."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.project.source_tree import (
    PACKAGES,
    ROOT,
    SHIPPED,
    Module,
    belongs,
    everywhere,
    imported,
    modules,
)

STANDARD = {*sys.stdlib_module_names}

# How a package is called on an index, where that is not how it is imported.
OTHER_NAMES = {
    "discord": "discord.py",
    "dotenv": "python-dotenv",
}

# Who may import a package; a name stands for itself and everything below it.
HOMES = {
    "torch": ("bot.engine", "training", "evaluation", "benchmarks", "tests"),
    "transformers": ("bot.engine", "training", "evaluation", "benchmarks", "tests"),
    "safetensors": ("bot.engine", "training", "evaluation", "benchmarks", "tests"),
    "tokenizers": ("bot.engine", "training", "evaluation", "benchmarks", "tests"),
    "huggingface_hub": ("bot.engine", "tests"),
    "sqlalchemy": ("bot.store", "migrations", "benchmarks", "tests"),
    "alembic": ("bot.store", "migrations", "tests"),
    "aiosqlite": ("bot.store", "tests"),
    "cryptography": ("bot.store", "tests"),
    "discord": (
        *("bot.client", "bot.startup.app", "bot.doctor", "bot.playground", "cogs", "tests"),
    ),
    "simcord": ("bot.playground.playground", "tests"),
    "pydantic": ("bot.settings.settings", "bot.settings.mistakes", "handbook", "tests"),
    "dotenv": ("bot.settings.env_file", "tests"),
    "regex": ("bot.dialogue.text", "tests"),
    "unicodedata.east_asian_width": ("bot.rendering.columns",),  # one width
}
# What a part of the project may not see of the project itself, beside what the tower says.
BLIND = {
    "bot": ("cogs", "training", "evaluation", "benchmarks", "handbook", "tests"),
    "bot.rendering": ("bot.ports",),
    "bot.store": ("bot.engine",),
    # The engine for many replies knows the way on CUDA by a Protocol.
    "bot.engine.batching.engine": ("bot.engine.batching.cuda",),
    "bot.engine.batching.worker": ("bot.engine.batching.cuda",),
    "bot.engine.batching.runner": ("bot.engine.batching.cuda",),
    "bot.engine.batching.loader": ("bot.engine.batching.cuda",),
    "cogs": ("bot.store", "bot.startup", "training", "evaluation", "benchmarks", "tests"),
    "training": ("bot.store", "bot.client", "bot.answering.conversation", "cogs", "tests"),
    "evaluation": ("bot.store", "bot.client", "cogs", "tests"),
    # A benchmark of the whole bot needs a Discord and a model: those of the tests.
    "benchmarks": ("cogs",),
}
PURE = {
    # Only `regex` knows what a reader sees as one character.
    "bot.dialogue": ("bot.dialogue", "bot.errors", "regex"),
    "bot.errors": (),
    "bot.texts": ("bot.errors",),
}


def test_there_is_something_to_check() -> None:
    assert len(everywhere("bot")) > 10
    assert len(everywhere("cogs")) > 3


@pytest.mark.parametrize(("package", "homes"), HOMES.items(), ids=str)
def test_a_library_is_imported_only_where_it_is_at_home(
    package: str, homes: tuple[str, ...]
) -> None:
    strangers = [
        f"{module}:{line}"
        for module in modules()
        for name, line in imported(module)
        if belongs(name, package) and not any(belongs(module.name, home) for home in homes)
    ]
    assert not strangers


@pytest.mark.parametrize(("package", "unseen"), BLIND.items(), ids=str)
def test_what_must_not_be_seen_is_not_imported(package: str, unseen: tuple[str, ...]) -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module in everywhere(package)
        for name, line in imported(module)
        if any(belongs(name, other) for other in unseen)
    ]
    assert not wrong


@pytest.mark.parametrize(("package", "friends"), PURE.items(), ids=str)
def test_the_pure_parts_import_only_the_standard_library(
    package: str, friends: tuple[str, ...]
) -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module in everywhere(package)
        for name, line in imported(module)
        if name.partition(".")[0] not in STANDARD
        and not any(belongs(name, friend) for friend in friends)
    ]
    assert not wrong


def test_what_the_bot_imports_is_declared_in_pyproject() -> None:
    """A dependency of a dependency may go away with the next release of that."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {Requirement(line).name.lower() for line in project["dependencies"]}
    used = {
        name.partition(".")[0]
        for module in everywhere("bot", "cogs", "migrations")
        if module.name
        not in {"bot.playground.playground", "bot.rendering.attention_picture"}  # extras
        for name, _ in imported(module)
    }
    foreign = used - STANDARD - set(PACKAGES)
    assert {OTHER_NAMES.get(name, name) for name in foreign} <= declared


def test_only_the_composition_root_chooses_an_engine_and_a_store() -> None:
    """Everything else knows them by their Protocols: bot.engine.protocol and bot.ports."""
    interfaces = ("bot.engine.protocol", "bot.engine.forwarding")
    roots = (
        *("bot.__main__", "bot.doctor", "bot.startup"),
        *("bot.playground.playground", "bot.terminal"),
    )
    wrong = [
        f"{module}:{line} imports {name}"
        for module in everywhere(*SHIPPED)
        for name, line in imported(module)
        for part in ("bot.engine", "bot.store")
        if belongs(name, part) and not any(belongs(name, one) for one in interfaces)
        if not any(belongs(module.name, root) for root in (*roots, part))
    ]
    assert not wrong


def test_nobody_imports_the_package_itself_relatively_or_for_types_only() -> None:
    """`bot` is the parameter of `setup(bot)`; a need for TYPE_CHECKING shows a wrong layer."""
    wrong = [
        f"{module}:{line} imports {name}"
        for module in modules()
        for name, line in imported(module)
        if name in SHIPPED or name.endswith("TYPE_CHECKING")
    ]
    relative = [
        f"{module}:{node.lineno}"
        for module in modules()
        for node in module.nodes(ast.ImportFrom)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not wrong + relative


# Runs in a process of its own. Other people's modules come first, unwatched; then ours are
# imported while every file opened for writing, socket and thread is noted.
IMPORTER = """
import importlib, json, sys, warnings
sys.dont_write_bytecode = True
warnings.simplefilter("ignore", DeprecationWarning)
foreign, ours = json.load(sys.stdin)
for name in foreign:
    importlib.import_module(name)
seen = []
def watch(event, arguments):
    writes = event == "open" and set(str(arguments[1] or "")) & set("wax+")
    if writes or event in ("socket.__new__", "socket.connect", "subprocess.Popen", "os.mkdir",
                           "sqlite3.connect"):
        seen.append(f"{importing}: {event}{arguments!r:.100}")
sys.addaudithook(watch)
import threading
start = threading.Thread.start
def noted_start(thread):  # Python 3.11 has no audit event for it
    seen.append(f"{importing}: {thread!r}")
    start(thread)
threading.Thread.start = noted_start
for importing in ours:
    importlib.import_module(importing)
print(json.dumps(seen))
"""


def foreign_imports(ours: list[Module]) -> list[str]:
    """The modules of others that ours import when they are imported themselves."""
    found = set()
    for module in ours:
        for node in module.tree.body:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    return sorted(name for name in found if name.partition(".")[0] not in PACKAGES)


def watched_imports(foreign: list[str], ours: list[str], folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTER],
        input=json.dumps([foreign, ours]),
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: list[str] = json.loads(done.stdout)
    return seen


def test_importing_the_bot_does_nothing() -> None:
    ours = [module for module in everywhere(*SHIPPED) if module.name != "bot.__main__"]
    names = [module.name for module in ours]
    assert watched_imports(foreign_imports(ours), names, ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "open('out', 'w')",
        "import pathlib; pathlib.Path('out').write_text('')",
        "import socket; socket.socket()",
        "import threading; threading.Thread(target=print).start()",
        "import sqlite3; sqlite3.connect('out')",
    ],
)
def test_an_import_that_does_something_would_be_seen(line: str, tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(line)
    assert watched_imports([], ["busy"], tmp_path)
