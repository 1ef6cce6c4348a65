"""Private names of other packages: each may change without a word, so the list does not grow."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.project.source_tree import PACKAGES, SHIPPED, Module, everywhere, imported, read

# What the code uses although it begins with an underscore, and why.
KNOWN = {
    "bot.client.event_guard: client._connection": "discord.py has no public place before its "
    "reading of events, and an error there ends the connection and the bot",
    "bot.engine.batching.linear: torch.ops.mkldnn._linear_pointwise": "oneDNN's product with "
    "packed weights: torch has no public one; the engine tries it before it relies on it",
    "bot.engine.batching.linear: torch.ops.mkldnn._reorder_linear_weight": "packs those weights",
    "bot.engine.placement.device: torch.cpu._is_vnni_supported": "no public name says whether "
    "the processor multiplies 8-bit numbers; without it the answer is no",
    "bot.engine.pulse: sys._current_frames": "documented, whatever its name",
    "bot.engine.reference.reading: network.config._attn_implementation": "no public name says "
    "which attention a model computes, to be put back after a picture",
    "bot.engine.thread: os._exit": "documented, whatever its name",
    "bot.playground.playground: page._action": "simcord has no public place to let actions of "
    "two pages wait for each other",
    "bot.playground.playground: page._get_page": "the same: what a page shows at that moment",
    "bot.playground.playground: world.env._preview": "the same: simcord knows one page",
    "bot.startup.stopping: os._exit": "documented, whatever its name",
}


def is_private(name: str) -> bool:
    """Whether it begins with an underscore, and is none of Python's own (`__x__`)."""
    return name.startswith("_") and not name.endswith("__") and name.strip("_") != ""


def foreign_private_names(module: Module, others: Iterable[Module]) -> set[str]:
    """The private names of other packages that `module` uses.

    Ours is what the file itself defines; for `self` also what the files define that it imports,
    since a class may be derived from one of theirs. An annotation may stand in quotation marks.
    """
    own = names_defined_in(module)
    sources = {name for name, _ in imported(module)}
    bases = [other for other in others if other.name in sources]
    inherited = set[str]().union(*map(names_defined_in, bases))
    nodes = [*ast.walk(module.tree), *quoted(module)]
    found = {name for name in imported_names(nodes) if name.partition(".")[0] not in PACKAGES}
    for node in nodes:
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if node.attr not in (own | inherited if is_self(node.value) else own):
                found.add(ast.unparse(node))
        elif isinstance(node, ast.Call):
            found |= set(looked_up(node))
    return {f"{module}: {name}" for name in found}


def names_defined_in(module: Module) -> set[str]:
    """Functions, classes, variables, and what is assigned to an attribute of `self`."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found |= {node.attr} if is_self(node.value) else set()
    return found


def is_self(node: ast.expr) -> bool:
    return ast.unparse(node) in {"self", "cls", "super()"}


def quoted(module: Module) -> Iterator[ast.AST]:
    """The expressions that stand in strings."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "._" in node.value:
            try:
                yield from ast.walk(ast.parse(node.value.strip(), mode="eval"))
            except SyntaxError:
                continue


def imported_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Imports that lead through a private module, or to a private name."""
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if any(map(is_private, name.split("."))))


def looked_up(call: ast.Call) -> Iterator[str]:
    """What `getattr` and its like are asked for by name, of another object than `self`."""
    if ast.unparse(call.func) in {"getattr", "setattr", "hasattr", "delattr"}:
        thing, name, *_ = call.args
        text = name.value if isinstance(name, ast.Constant) else None
        if isinstance(text, str) and is_private(text) and not is_self(thing):
            yield f"{ast.unparse(thing)}.{text}"


def test_the_private_names_of_others_are_those_that_are_known() -> None:
    ours = everywhere(*SHIPPED)
    used = set[str]().union(*(foreign_private_names(module, ours) for module in ours))
    assert sorted(used) == sorted(KNOWN)


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("import thing._inner", ["thing._inner"]),
        ("from thing import _inner", ["thing._inner"]),
        ("from thing._inner import name", ["thing._inner.name"]),
        ("from bot._inner import name", []),
        ("from __future__ import annotations", []),
        ("import thing\nx: 'thing._Kind[int]'", ["thing._Kind"]),
        ("import thing\nthing.__version__\nthing.name", []),
        ("getattr(thing, '_name', None)", ["thing._name"]),
        ("class A(Base):\n    def f(self):\n        self._x = self._y", ["self._y"]),
        ("class A:\n    def f(self, other):\n        self._x = other._x", []),
        ("def f(thing):\n    thing._x = thing._x", ["thing._x"]),
    ],
)
def test_a_private_name_of_another_package_would_be_seen(
    code: str, seen: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "one.py"
    path.write_text(code)
    assert foreign_private_names(read(path, tmp_path), []) == {f"one: {name}" for name in seen}
