"""Prints every Python file with the first sentence of its docstring: `make tree`.

`python -m handbook.tree bot/engine cogs` prints what stands in these folders only.
"""

import ast
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 32  # of the names, in characters; longer ones push their sentence to the right


def tree(folder: Path, depth: int = 0) -> Iterator[str]:
    """A line for `folder`, then one for each file in it, then its folders with theirs."""
    yield _line(f"{folder.name}/", folder / "__init__.py", depth)
    inside = sorted(folder.iterdir())
    for path in inside:
        if path.suffix == ".py" and path.name != "__init__.py":
            yield _line(path.name, path, depth + 1)
    for path in inside:
        if path.is_dir() and any(path.rglob("*.py")):
            yield from tree(path, depth + 1)


def first_sentence(path: Path) -> str:
    """The first sentence of a file's docstring; empty where there is no file or none in it."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    said = " ".join((ast.get_docstring(ast.parse(text)) or "").split())
    sentence = re.match(r".+?[.!?](?= |$)", said)
    return sentence[0] if sentence else said


def packages() -> list[Path]:
    """The packages of the project, by name."""
    return sorted(file.parent for file in ROOT.glob("*/__init__.py"))


def main(arguments: Sequence[str]) -> None:
    """Print the folders that are named, else every package."""
    for folder in [ROOT / name for name in arguments] or packages():
        for line in tree(folder):
            print(line)


def _line(name: str, path: Path, depth: int) -> str:
    return f"{'  ' * depth + name:{WIDTH}} {first_sentence(path)}".rstrip()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a pager that ends early ends this quietly
    main(sys.argv[1:])
