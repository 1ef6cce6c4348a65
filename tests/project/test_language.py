"""Sentences of the code: refused is only what is unmistakable, the rest is for a reader to see."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.project.documents import MARKDOWN
from tests.project.source_tree import ROOT, SHIPPED, Module, everywhere

AFRESH = re.compile(r"\bafresh\b", re.IGNORECASE)
# Where a docstring, a paragraph or a sentence begins; "nobody's words" is something else.
UNNAMED_SUBJECT = re.compile(
    r"(?:\A|\n\n|[.!?][)\"']*\s)\s*(nobody|whoever|somebody)\b(?!['’])", re.IGNORECASE
)
EXPLAINED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(module: Module) -> Iterator[tuple[int, str]]:
    """Each docstring of a file, with the line on which it begins."""
    for node in ast.walk(module.tree):
        if isinstance(node, EXPLAINED) and (text := ast.get_docstring(node)) is not None:
            yield node.body[0].lineno, text


def test_the_word_afresh_is_nowhere() -> None:
    """It is old-fashioned: say "again", "anew" or what begins."""
    files = [module.path for module in everywhere(*SHIPPED)]
    files += [page for page in MARKDOWN if page.name != "CONTRIBUTING.md"]  # it names the rule
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if AFRESH.search(line)
    ]
    assert wrong == []


def test_a_sentence_of_a_docstring_has_a_named_subject() -> None:
    """Name what acts: "the waiting task", "the caller", "a member"."""
    wrong = [
        f"{module.path.relative_to(ROOT)}:{line} {found[1]}"
        for module in everywhere(*SHIPPED)
        for line, text in docstrings(module)
        for found in UNNAMED_SUBJECT.finditer(text)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("Nobody waits.", ["Nobody"]),
        ("It ends. Whoever asks gets\nan error. (It is.) somebody", ["Whoever", "somebody"]),
        ("It ends.\n\nsomebody else may ask", ["somebody"]),
        ("The caller waits, whoever asks, for nobody. Nobody's words are kept: nobody sees", []),
    ],
)
def test_an_unnamed_subject_would_be_seen(text: str, subjects: list[str]) -> None:
    assert UNNAMED_SUBJECT.findall(text) == subjects


def test_docstrings_are_found() -> None:
    found = {text for module in everywhere("bot.errors") for _, text in docstrings(module)}
    assert "A bug: the log holds what happened." in found
