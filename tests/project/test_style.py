"""The rules of CONTRIBUTING.md that a machine can check, on every file of the project."""

import ast
import re
from collections.abc import Iterator

from tests.project.source_tree import SHIPPED, Module, belongs, everywhere, imported, modules

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
FORBIDDEN_WORDS = {"manager", "helper", "util", "utils", "data", "process", "handle", "handler"}
DICTATED_NAMES = {"process_bind_param", "process_result_value"}  # SQLAlchemy calls them so


def test_no_file_and_no_function_is_long() -> None:
    long = [f"{m}: {m.num_lines} lines" for m in modules() if m.num_lines > MAX_FILE_LINES]
    for module in modules():
        for node in module.nodes(ast.FunctionDef, ast.AsyncFunctionDef):
            assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > MAX_FUNCTION_LINES:
                long.append(f"{module}:{node.lineno} {node.name}: {size} lines")
    assert not long


def named(module: Module) -> Iterator[str]:
    yield module.name.rpartition(".")[2]
    for node in module.nodes(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        yield node.name


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_names_use_the_words_of_the_glossary() -> None:
    wrong = [
        f"{module}: {name}"
        for module in everywhere(*SHIPPED)
        for name in named(module)
        if words(name) & FORBIDDEN_WORDS and name not in DICTATED_NAMES
    ]
    assert not wrong


def test_words_of_a_name_are_found() -> None:
    assert words("TurnManager") == {"turn", "manager"}
    assert words("_load_HTTPHelper2") == {"load", "http", "helper"}


def test_only_what_stands_at_the_terminal_prints() -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module in everywhere(*SHIPPED)
        if module.name != "bot.__main__" and not belongs(module.name, "bot.terminal")
        for node in module.nodes(ast.Call)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not wrong


def is_swallowed(handler: ast.ExceptHandler) -> bool:
    """Whether it does nothing, or takes every error and neither raises, logs nor hands it on."""
    if all(isinstance(line, ast.Pass) for line in handler.body):
        return True
    broad = handler.type is None or ast.unparse(handler.type) in {"Exception", "BaseException"}
    body = ast.unparse(ast.Module(handler.body, []))
    passed_on = handler.name is not None and re.search(rf"\b{handler.name}\b", body)
    return broad and not passed_on and not re.search(r"\braise\b|\blogger\.", body)


def test_no_exception_is_swallowed() -> None:
    wrong = [
        f"{module}:{node.lineno}"
        for module in modules()
        for node in module.nodes(ast.ExceptHandler)
        if isinstance(node, ast.ExceptHandler) and is_swallowed(node)
    ]
    assert not wrong


def test_tests_use_real_parts_and_fakes_but_no_mocks() -> None:
    wrong = [
        f"{module}:{line}"
        for module in modules()
        for name, line in imported(module)
        if belongs(name, "unittest.mock")
    ]
    assert not wrong
