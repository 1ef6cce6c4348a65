"""What the documents say of the project is so: files, commands, settings, links, figures."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot.client.chat_bot import PERMISSIONS
from bot.settings.settings import VARIABLES
from handbook.settings_page import settings_page
from tests.project.documents import (
    ARCHITECTURE,
    ENV_EXAMPLE,
    MARKDOWN,
    MODELS,
    READMES,
    SETTINGS,
    TROUBLESHOOTING,
    anchors,
    class_names,
    classes_in,
    code,
    folders,
    folders_of,
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
)
from tests.project.source_tree import ROOT

MAKEFILE = read(ROOT / "Makefile")
CATALOGUE = ROOT / "locales" / "ko" / "LC_MESSAGES" / "banter.po"
MAX_README_LINES = 140
# What looks like a class and is none: a site, a variable of systemd.
NO_CLASSES = {"AsyncConnection", "Connection", "GitHub", "MaxRetentionSec"}
# What looks like a setting and is none: other programs' variables, SQL.
NO_SETTINGS = {"OWNER_IDS", "HF_TOKEN", "HF_ENDPOINT", "BEGIN_IMMEDIATE"}
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


def test_the_list_of_folders_names_what_there_is() -> None:
    told = folders_of(read(ARCHITECTURE))
    assert len(told) == len(set(told))
    assert [folder for folder in told if not (ROOT / folder).is_dir()] == []
    assert folders() - set(told) == set()


def test_every_file_of_the_ten_second_finder_exists() -> None:
    finder = table_with(read(ARCHITECTURE), "when the bot answers")
    for (where,) in finder.values():
        paths = re.findall(r"[\w.]+(?:/[\w.]*)+|\.env\.example", where, re.ASCII)
        assert paths
        assert [inner for inner in paths if not (ROOT / inner).exists()] == []


@readmes
def test_a_readme_is_read_in_a_few_minutes(path: Path) -> None:
    assert len(read(path).splitlines()) <= MAX_README_LINES


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
def test_every_class_named_exists(path: Path) -> None:
    for piece in code(path):
        assert classes_in(piece) - NO_CLASSES <= class_names(), piece


def test_a_class_is_found_in_a_piece_of_code() -> None:
    assert classes_in("raise EngineBusyError(size) from full") == {"EngineBusyError"}
    assert classes_in("Database.read") == classes_in("Database") == {"Database"}
    assert classes_in("Makefile") == classes_in("Model loaded") == classes_in("LOG_LEVEL") == set()


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


def test_the_page_of_settings_is_what_the_code_makes_of_them() -> None:
    assert read(SETTINGS) == settings_page(read(ENV_EXAMPLE)), "make settings"


def test_the_page_of_settings_names_each_with_its_default() -> None:
    rows = chain.from_iterable(one[1:] for one in tables(read(SETTINGS)))
    told = {name.strip("`"): default.strip("`") for name, default, _, _ in rows}
    assert set(told) - NO_SETTINGS == set(VARIABLES)
    examples = ("SEED", "DTYPE", "TEMPERATURE", "MIN_P", "ALLOW_DMS", "ALLOWED_ROLE_IDS")
    assert [told[name] for name in examples] == ["–", "auto", "0.8", "0", "on", "–"]


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.name)
def test_every_slash_command_named_exists(path: Path) -> None:
    in_terminal = set(re.findall(r'"/([a-z]+)"', read(ROOT / "bot" / "terminal" / "console.py")))
    groups = {name.partition(" ")[0] for name in slash_commands()}
    assert slashed(read(path)) <= slash_commands() | in_terminal | groups


@readmes
def test_the_slash_commands_of_the_readme_are_those_of_the_cogs(path: Path) -> None:
    rows = table_with(read(path), "`/settings`")
    assert {name.strip("`/") for name in rows} == slash_commands()


def test_the_permissions_that_are_told_are_those_of_the_invite_link() -> None:
    told = table_with(read(TROUBLESHOOTING), "View Channels")
    assert told.keys() == {PERMISSION_NAMES[name] for name, granted in PERMISSIONS if granted}


def test_every_make_target_is_phony_and_explained() -> None:
    phony = set(re.search(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)[1].split())  # type: ignore[index]
    explained = set(re.findall(r'@echo "make ([a-z]+) ', MAKEFILE))
    assert explained == phony - {"help"}


# -- Figures and quotations ----------------------------------------------------------------------


def test_the_sizes_of_the_models_follow_from_their_shapes() -> None:
    rows = table_with(read(MODELS), "`embedded`")
    for name, (width, num_layers) in SHAPES.items():
        layer = 12 * width**2 + 13 * width
        num = (50_257 + 1024) * width + num_layers * layer + 2 * width
        sizes = (f"{num / 1e6:.0f} M", f"{4 * num / 1e9:.2f} GB", f"{2 * num / 1e9:.2f} GB")
        assert tuple(rows[f"`microsoft/DialoGPT-{name}`"][:3]) == sizes


def test_the_sentences_quoted_are_those_of_the_bot() -> None:
    """A quotation is cut where it has an ellipsis: there a sentence may say anything."""
    with CATALOGUE.open("rb") as file:
        sentences = [str(message.id) for message in read_po(file) if message.id]
    quoted = re.findall(r"\*([^*|]+ …)\*", read(TROUBLESHOOTING))
    assert len(quoted) > 3
    for beginning in quoted:
        pattern = re.escape(beginning.removesuffix(" …")).replace("…", ".+")
        assert any(re.match(pattern, one) for one in sentences), beginning


# -- Both languages ------------------------------------------------------------------------------


def test_both_readmes_have_the_same_sections_and_tables() -> None:
    english, korean = map(read, READMES.values())
    assert levels(english) == levels(korean)
    assert [[len(row) for row in one] for one in tables(english)] == [
        [len(row) for row in one] for one in tables(korean)
    ]


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
