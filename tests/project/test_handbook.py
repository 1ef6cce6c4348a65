"""The pages and lists that are made from the code."""

from pathlib import Path

import pytest

from bot.settings.settings import VARIABLES
from handbook import structure
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


TOLD = '''"""A file with 7 lines of code."""

# why
import bot.two


def told() -> str:
    """Says it.

    In two lines.
    """
    text = """this is text
and counts"""
    return text  # so


def untold() -> None:
    pass
'''


def test_the_table_of_the_structure_counts_code_circles_and_docstrings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (
        ("bot/one.py", TOLD),
        ("bot/two.py", "def late():\n    import bot.one\n"),
        ("cogs/three.py", "import bot.one\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert structure.main([str(tmp_path)]) == 0
    _, *rows, circle = capsys.readouterr().out.splitlines()
    assert [row.split() for row in rows] == [
        # folder, files, lines, code, longest file/median, function/median, circles, docstrings
        ["bot", "2", "20", "9", "18/10", "8/2", "1", "33%"],
        ["cogs", "1", "1", "1", "1/1", "0/0", "0", "–"],
        ["all", "3", "21", "10", "18/2", "8/2", "1", "33%"],
    ]
    assert circle == "circle: bot.one bot.two"
