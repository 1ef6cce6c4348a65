"""Every Python file of the project, parsed, for the tests of its architecture and style."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = (
    *("bot", "cogs", "migrations", "locales"),
    *("training", "evaluation", "benchmarks", "handbook", "tests"),
)
SHIPPED = ("bot", "cogs")


@dataclass(frozen=True)
class Module:
    """A file of the project, parsed."""

    name: str
    path: Path
    tree: ast.Module
    num_lines: int

    def __str__(self) -> str:
        return self.name

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))


@cache
def modules() -> tuple[Module, ...]:
    return tuple(
        read(path) for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))
    )


def read(path: Path, root: Path = ROOT) -> Module:
    """Parse the file at `path` in the checkout at `root`."""
    text = path.read_text(encoding="utf-8")
    parts = path.relative_to(root).with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    return Module(name, path, ast.parse(text), len(text.splitlines()))


def belongs(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def imported(module: Module) -> Iterator[tuple[str, int]]:
    """Every name that `module` imports, wherever in the file, with its line."""
    for node in module.nodes(ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            yield source, node.lineno
            yield from ((f"{source}.{alias.name}", node.lineno) for alias in node.names)


def everywhere(*packages: str) -> list[Module]:
    return [m for m in modules() if any(belongs(m.name, package) for package in packages)]
