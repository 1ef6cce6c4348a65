"""A table of the code's structure, folder by folder: `python -m handbook.structure [CHECKOUT]`.

A line of code is one on which a token other than a comment or a docstring stands. A circle is a
set of modules that import each other, imports inside of functions counted; it is listed once, with
the folder of its first module. The share of functions with a docstring counts public and private
ones alike.
"""

import argparse
import ast
import io
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.project.source_tree import ROOT, Module, imported, read

FOLDERS = ("bot", "cogs")
_NO_CODE = frozenset(
    {
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
        *(tokenize.ENCODING, tokenize.ENDMARKER),
    }
)
Functions = Sequence[ast.FunctionDef | ast.AsyncFunctionDef]


@dataclass(frozen=True, slots=True)
class Measured:
    """What is counted in a file."""

    name: str
    num_lines: int
    num_code_lines: int
    functions: Functions


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, its totals and the circles."""
    parser = argparse.ArgumentParser(prog="python -m handbook.structure", description=__doc__)
    parser.add_argument("checkout", nargs="?", type=Path, default=ROOT)
    root = parser.parse_args(arguments).checkout.resolve()
    modules = [
        read(path, root) for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))
    ]
    circles = circles_of(imports_of(modules))
    rooms: dict[str, list[Measured]] = defaultdict(list)
    for module in modules:
        rooms[str(module.path.parent.relative_to(root))].append(measure(module))
    everything = [one for room in rooms.values() for one in room]
    of = {
        room: sum(_room(circle[0], modules, root) == room for circle in circles) for room in rooms
    }
    print(
        f"{'folder':<32}{'files':>6}{'lines':>7}{'code':>7}{'file':>10}{'function':>10}{'circles':>8}{'docs':>6}"
    )
    for room in sorted(rooms):
        print(_row(room, rooms[room], of[room]))
    print(_row("all", everything, len(circles)))
    for circle in circles:
        print(f"circle: {' '.join(circle)}")
    return 0


def measure(module: Module) -> Measured:
    """Count the lines and find the functions of a file."""
    functions = [
        node
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return Measured(module.name, module.num_lines, num_code_lines(module), functions)


def num_code_lines(module: Module) -> int:
    """The lines that hold code: no blank ones, no comments, no docstrings."""
    text = module.path.read_text(encoding="utf-8")
    lines = {
        number
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in _NO_CODE
        for number in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if ast.get_docstring(node, clean=False) is not None and first is not None:
                lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(lines)


def imports_of(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Which of the modules each one imports, wherever in the file."""
    known = {module.name: module for module in modules}
    return {
        name: {other for other, _ in imported(module) if other in known and other != name}
        for name, module in known.items()
    }


def circles_of(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module: Tarjan 1972."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = lowest[name] = len(order)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in order:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], order[other])
        if lowest[name] == order[name]:
            component = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(component) > 1:
                found.append(sorted(component))

    for name in sorted(graph):
        if name not in order:
            visit(name)
    return sorted(found)


def _room(name: str, modules: Iterable[Module], root: Path) -> str:
    return next(str(one.path.parent.relative_to(root)) for one in modules if one.name == name)


def _row(room: str, files: Sequence[Measured], num_circles: int) -> str:
    sizes = [one.num_lines for one in files]
    functions = [function for one in files for function in one.functions]
    lengths = [(one.end_lineno or one.lineno) - one.lineno + 1 for one in functions] or [0]
    told = sum(ast.get_docstring(one) is not None for one in functions)
    share = f"{told / len(functions):.0%}" if functions else "–"
    return (
        f"{room:<32}{len(files):>6}{sum(sizes):>7}{sum(one.num_code_lines for one in files):>7}"
        f"{_largest_and_median(sizes):>10}{_largest_and_median(lengths):>10}{num_circles:>8}{share:>6}"
    )


def _largest_and_median(sizes: Sequence[int]) -> str:
    return f"{max(sizes)}/{median(sizes):.0f}"


if __name__ == "__main__":
    sys.exit(main())
