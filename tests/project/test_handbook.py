"""The pages and lists that are made from the code."""

from pathlib import Path

import pytest

from bot.settings.settings import VARIABLES
from handbook.settings_page import EXAMPLE, entries, settings_page
from handbook.tree import first_sentence, packages, tree
from tests.project.source_tree import PACKAGES, ROOT


def row_of(name: str, page: str) -> list[str]:
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_every_setting_has_an_entry_with_a_purpose() -> None:
    found = list(entries(EXAMPLE.read_text(encoding="utf-8")))
    assert {entry.name for entry in found} >= set(VARIABLES)
    assert all(entry.title and entry.purpose.endswith(".") for entry in found)


def test_a_variable_without_a_comment_is_refused() -> None:
    with pytest.raises(ValueError, match="SEED"):
        list(entries("# -- A ---\n\nSEED=\n"))


@pytest.mark.parametrize(
    ("name", "default", "allowed"),
    [
        ("NUM_THREADS", "–", "1 to 256"),
        ("DEVICE", "`auto`", "`auto`, `cpu`, `cuda`, `mps`"),
        ("ALLOW_DMS", "`on`", "`on`, `off`"),
        ("BLOCKED_WORDS", "`on`", "`on`, `off`, a file"),
        ("ALLOWED_ROLE_IDS", "–", "ids"),
        ("DEV_GUILD_ID", "–", "an id"),
        ("MIN_P", "`0`", "0.0 to 0.5"),
        ("HISTORY_KEY", "–", "text"),
        ("HF_TOKEN", "–", "text"),
    ],
)
def test_a_row_says_what_the_field_says(name: str, default: str, allowed: str) -> None:
    page = settings_page(f"# -- A ---\n\n# What for | why, see https://example.com/a.\n{name}=x\n")
    purpose = "What for &#124; why, see <https://example.com/a>."
    assert row_of(name, page) == [f"`{name}`", default, allowed, purpose]


def test_the_tree_names_every_python_file() -> None:
    lines = [line for folder in packages() for line in tree(folder)]
    named = sorted(line.split()[0] for line in lines if line.split()[0].endswith(".py"))
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert named == sorted(path.name for path in files if path.name != "__init__.py")


def test_the_tree_says_the_first_sentence_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text('"""Makes one, 1.5 times\nas large. And more."""\n')
    (tmp_path / "none.py").write_text("x = 1\n")
    assert first_sentence(tmp_path / "one.py") == "Makes one, 1.5 times as large."
    assert first_sentence(tmp_path / "none.py") == first_sentence(tmp_path / "gone.py") == ""
    none, one = list(tree(tmp_path))[1:]
    assert none.split() == ["none.py"]
    assert one.split(maxsplit=1) == ["one.py", "Makes one, 1.5 times as large."]
