"""What the documents say of the project is so: files, commands, settings, links, figures."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot.client import PERMISSIONS
from bot.settings import VARIABLES, Settings
from tests.documents import (
    ENV_EXAMPLE,
    MARKDOWN,
    READMES,
    anchors,
    code,
    grammar,
    levels,
    links,
    listing,
    python_files,
    read,
    slash_commands,
    slashed,
    spans,
    table_with,
    tables,
    tree_of,
)
from tests.source_tree import ROOT

MAKEFILE = read(ROOT / "Makefile")
CATALOGUE = ROOT / "locales" / "ko" / "LC_MESSAGES" / "banter.po"
# What looks like a setting and is none: other programs' variables, SQL.
NO_SETTINGS = {"HF_TOKEN", "HF_ENDPOINT", "BEGIN_IMMEDIATE"}
PERMISSION_NAMES = {
    "read_messages": "View Channels",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "read_message_history": "Read Message History",
}
# Width and number of layers of the GPT-2s that DialoGPT is made of.
SHAPES = {"small": (768, 12), "medium": (1024, 24), "large": (1280, 36)}

documents = pytest.mark.parametrize("path", [*MARKDOWN, ENV_EXAMPLE], ids=lambda path: path.name)
readmes = pytest.mark.parametrize("path", READMES.values(), ids=READMES.keys())


# -- Files ---------------------------------------------------------------------------------------


@readmes
def test_the_tree_of_the_readme_names_what_there_is(path: Path) -> None:
    missing = [inner for inner in tree_of(read(path)) if not (ROOT / inner).exists()]
    assert not missing


@readmes
def test_the_readme_names_every_file_of_the_folders_it_opens(path: Path) -> None:
    named = set(tree_of(read(path)))
    opened = {"", *(path for path in named if any(p != path and p.startswith(path) for p in named))}
    opened -= {path for path in opened if path and not path.endswith("/")}
    forgotten = {path for folder in opened for path in listing(folder)} - named
    assert not forgotten


@readmes
def test_every_file_of_the_ten_second_finder_exists(path: Path) -> None:
    finder = tables(read(path))[-1]
    for _, where in finder[1:]:
        paths = re.findall(r"[\w.]+(?:/[\w.]+)+|\.env\.example", where, re.ASCII)
        assert paths
        assert [inner for inner in paths if not (ROOT / inner).exists()] == []


@documents
def test_every_file_named_exists(path: Path) -> None:
    """A word in code that begins like a path of the project, or is the name of a Python file."""
    ours = {name.strip("/") for name in listing("")}
    for piece in code(path):
        for word in re.findall(r"(?<![\w./<>{}-])\.?\w[\w./-]*", piece, re.ASCII):
            is_path = word.partition("/")[0] in ours and not word.endswith(".")
            assert not is_path or (ROOT / word).exists(), word
            assert "/" in word or not word.endswith(".py") or word in python_files(), word


@documents
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in links(read(path)):
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert link.startswith("http") or target.exists(), link
        assert link.startswith("http") or not anchor or anchor in anchors(read(target)), link


# -- Commands and settings -----------------------------------------------------------------------


@documents
def test_every_command_named_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    for piece in code(path):
        assert set(re.findall(r"(?:^|&& |; )make ([a-z]+)", piece)) <= targets, piece
        for name, rest in re.findall(
            r"(?:python -m bot|banter main|--rm bot) (\w+)([^&;:#]*)", piece
        ):
            assert name in grammar(), piece
            words = set(re.findall(r"(?<=[\s|[])(?:--[a-z-]+|[a-z]+)(?=[\s|\]]|$)", rest))
            assert words <= grammar()[name], piece
        for package, name in re.findall(r"python -m (\w+)\b(?!\.<)(?:\.(\w+))?", piece):
            if package in {"training", "evaluation", "benchmarks", "locales"}:
                assert (ROOT / package / f"{name or '__main__'}.py").exists(), piece


@readmes
def test_every_option_and_action_in_the_readme_exists(path: Path) -> None:
    known = set().union(*grammar().values())
    for span in spans(read(path)):
        for option in re.findall(r"^(--[a-z-]+)|^db ([a-z]+)", span):
            assert set(option) - {""} <= known, span


@readmes
def test_every_command_of_the_command_line_is_in_the_readme(path: Path) -> None:
    text = read(path)
    assert [name for name in grammar() if f"python -m bot {name}" not in text] == []


@documents
def test_every_setting_named_exists(path: Path) -> None:
    """A word like `LOG_LEVEL` or `MODEL=…` in code is a setting."""
    for piece in code(path):
        named = re.findall(r"^([A-Z]+(?:_[A-Z]+)+)$|(?<![\w.$-])([A-Z][A-Z_]{3,})=", piece)
        assert {alone or given for alone, given in named} - NO_SETTINGS <= set(VARIABLES), piece


@readmes
def test_the_settings_of_the_readme_are_those_of_the_code(path: Path) -> None:
    rows = table_with(read(path), "`DISCORD_TOKEN`")
    told = {name.strip("`"): default for name, (default, _) in rows.items()}
    assert told == {
        name.upper(): written(field.default) for name, field in Settings.model_fields.items()
    }


def written(default: object) -> str:
    """A default as the README shows it."""
    match default:
        case None | frozenset():
            return "–"
        case bool():
            return "`on`" if default else "`off`"
        case float():
            return f"`{default:g}`"
    return f"`{default}`"


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.name)
def test_every_slash_command_named_exists(path: Path) -> None:
    in_terminal = set(re.findall(r'"/([a-z]+)"', read(ROOT / "bot" / "console.py")))
    groups = {name.partition(" ")[0] for name in slash_commands()}
    assert slashed(read(path)) <= slash_commands() | in_terminal | groups


@readmes
def test_the_slash_commands_of_the_readme_are_those_of_the_cogs(path: Path) -> None:
    rows = table_with(read(path), "`/settings`")
    assert {name.strip("`/") for name in rows} == slash_commands()


@readmes
def test_the_permissions_of_the_readme_are_those_of_the_invite_link(path: Path) -> None:
    (table,) = [one for one in tables(read(path)) if "View Channels" in one[1][0]]
    told = {re.sub(r".*\((.*)\)", r"\1", name) for name, _ in table[1:]}
    assert told == {PERMISSION_NAMES[name] for name, granted in PERMISSIONS if granted}


def test_every_make_target_is_phony_and_explained() -> None:
    phony = set(re.search(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)[1].split())  # type: ignore[index]
    explained = set(re.findall(r'@echo "make ([a-z]+) ', MAKEFILE))
    assert explained == phony - {"help"}


# -- Figures and quotations ----------------------------------------------------------------------


@readmes
def test_the_sizes_of_the_models_follow_from_their_shapes(path: Path) -> None:
    rows = table_with(read(path), "`embedded`")
    for name, (width, num_layers) in SHAPES.items():
        layer = 12 * width**2 + 13 * width
        num = (50_257 + 1024) * width + num_layers * layer + 2 * width
        sizes = (f"{num / 1e6:.0f} M", f"{4 * num / 1e9:.2f} GB", f"{2 * num / 1e9:.2f} GB")
        assert tuple(rows[f"`microsoft/DialoGPT-{name}`"][:3]) == sizes


@pytest.mark.parametrize("language", READMES)
def test_the_sentences_quoted_in_the_readme_are_those_of_the_bot(language: str) -> None:
    with CATALOGUE.open("rb") as file:
        catalogue = [message for message in read_po(file) if message.id]
    sentences = [str(one.id if language == "en" else one.string) for one in catalogue]
    quoted = re.findall(r"\*([^*|]+) …\*", read(READMES[language]))
    assert len(quoted) > 3
    for beginning in quoted:
        assert any(one.startswith(beginning) for one in sentences), beginning


# -- Both languages ------------------------------------------------------------------------------


def test_both_readmes_have_the_same_sections_tables_and_tree() -> None:
    english, korean = map(read, READMES.values())
    assert levels(english) == levels(korean)
    assert [[len(row) for row in one] for one in tables(english)] == [
        [len(row) for row in one] for one in tables(korean)
    ]
    assert list(tree_of(english)) == list(tree_of(korean))


def test_both_readmes_name_the_same_commands_files_settings_and_links() -> None:
    english, korean = map(read, READMES.values())
    assert set(spans(english)) == set(spans(korean))
    elsewhere = {path.name for path in READMES.values()}
    assert set(links(english)) - elsewhere == set(links(korean)) - elsewhere
    assert "README.ko.md" in links(english)
    assert "README.md" in links(korean)


# -- Decisions and dependencies ------------------------------------------------------------------


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
