"""The catalogues: whole, true to the sentences, and what `make locales` would write."""

import ast
import gettext
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from babel.messages.pofile import read_po

from bot.__main__ import build_parser
from bot.errors import ChatError
from bot.texts import LANGUAGES
from cogs._answers import LAYER_NAMES
from cogs.errors import PERMISSION_NAMES
from locales.collect import (
    PACKAGES,
    ROOT,
    collect,
    compiled,
    main,
    merge,
    po_path,
    read_translations,
    written,
)
from tests.cogs.commands_bot import World, commands_world, text_of
from tests.source_tree import everywhere

languages = pytest.mark.parametrize("language", LANGUAGES)
foreign = pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])

MAX_DESCRIPTION = 100  # characters, of a command, an option or a choice on Discord
# Calls and keyword arguments that show a text to a person as it is.
SHOWING = {"print", "tell", "send", "send_message", "reply", "edit", "edit_original_response"}
SHOWN = {"content", "help", "description", "epilog", "title", "label", "placeholder", "metavar"}
NOT_WORDS = {"banter ", "\n"}

RENEW = "run `make locales`, translate what it lists, and run it again"
# Particles whose form depends on the sound before them, which nobody knows of a value.
PARTICLE = re.compile(r"\}[”`]?(?:은|는|이|가|을|를|과|와|으로|로|이?나|이?라|이?여야)(?![\w(]|$)")
NAMES = re.compile(r"\b[A-Z]+(?:_[A-Z]+)+\b|\b[A-Z]+=\w+|`[^`]+`|https?://\S+|\.env\b")


@cache
def sentences() -> tuple[str, ...]:
    return tuple(collect(ROOT / package for package in PACKAGES))


@cache
def translations(language: str) -> dict[str, str]:
    return read_translations(po_path(language))


def places(text: str) -> list[tuple[str, str | None, str | None]]:
    """The `{places}` of a text with their formats, sorted."""
    parsed = Formatter().parse(text)
    return sorted((name, spec, kind) for _, name, spec, kind in parsed if name is not None)


def subclasses(kind: type[ChatError]) -> Iterator[type[ChatError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


@languages
def test_every_sentence_is_translated_and_nothing_else(language: str) -> None:
    known = translations(language)
    assert sorted(known) == list(sentences()), RENEW
    assert [sentence for sentence, translation in known.items() if not translation] == [], RENEW


@languages
def test_nothing_is_guessed_or_obsolete(language: str) -> None:
    with po_path(language).open("rb") as file:
        catalog = read_po(file)
    assert [entry.id for entry in catalog if entry.id and entry.fuzzy] == []
    assert list(catalog.obsolete) == []


@languages
def test_the_files_are_what_make_locales_writes(language: str) -> None:
    catalog = merge(language, sentences(), translations(language))
    path = po_path(language)
    assert path.read_bytes() == written(catalog), RENEW
    assert path.with_suffix(".mo").read_bytes() == compiled(catalog), RENEW


@languages
def test_gettext_reads_what_was_compiled(language: str) -> None:
    with po_path(language).with_suffix(".mo").open("rb") as file:
        catalog = gettext.GNUTranslations(file)
    for sentence, translation in translations(language).items():
        assert catalog.gettext(sentence) == translation


def test_english_says_the_sentence_itself() -> None:
    assert all(sentence == said for sentence, said in translations("en").items())


@languages
def test_a_translation_has_the_places_of_its_sentence(language: str) -> None:
    wrong = [
        (sentence, said)
        for sentence, said in translations(language).items()
        if places(sentence) != places(said)
    ]
    assert not wrong


@foreign
def test_code_settings_and_addresses_are_not_translated(language: str) -> None:
    wrong = [
        (sentence, said)
        for sentence, said in translations(language).items()
        for name in NAMES.findall(sentence)
        if name.rstrip(",.") not in said
    ]
    assert not wrong


@foreign
def test_a_translation_begins_and_ends_like_its_sentence(language: str) -> None:
    for sentence, said in translations(language).items():
        assert said == said.strip()
        assert "  " not in said
        for sign in ("; ", "- ", "**", "⚠️ "):
            assert said.startswith(sign) == sentence.startswith(sign), said
        assert said.count("\n") == sentence.count("\n"), said
        assert said.count("**") == sentence.count("**"), said


def test_korean_is_written_in_hangul() -> None:
    assert [said for said in translations("ko").values() if not re.search("[가-힣]", said)] == []


def test_korean_particles_fit_any_value() -> None:
    assert [said for said in translations("ko").values() if PARTICLE.search(said)] == []


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [("{name}을 읽어요", True), ("“{name}”은 없어요", True), ("{name}을(를) 읽어요", False)],
)
def test_a_particle_that_does_not_fit_every_value_is_found(text: str, is_wrong: object) -> None:
    assert bool(PARTICLE.search(text)) is is_wrong


def test_the_sentence_of_every_error_is_collected() -> None:
    kinds = list(subclasses(ChatError))
    assert len(kinds) > 20
    assert {kind.sentence for kind in kinds} <= set(sentences())


def test_names_that_are_said_elsewhere_are_collected() -> None:
    assert {*LAYER_NAMES.values(), *PERMISSION_NAMES.values()} <= set(sentences())


def test_collecting_finds_every_form_of_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text(
        'texts.say("one " "and two", locale)\n'
        'say("three" if many else mark("four"), locale)\n'
        'raise ModelError(\n    "five {folder}", folder=folder)\n'
        'class Refused(ChatError):\n    sentence: str = "six"\n'
        'say(NAMES["not this"], locale)\nwrite("nor this")\nsay("three", locale)\n'
    )
    assert collect([tmp_path]) == ["five {folder}", "four", "one and two", "six", "three"]


@pytest.mark.parametrize(
    "sentence", ['f"{name} is late"', '"late: " + name', '"%s is late" % name']
)
def test_a_sentence_that_is_put_together_is_refused(tmp_path: Path, sentence: str) -> None:
    (tmp_path / "some.py").write_text(f"name = 1\nsay({sentence}, locale)\n")
    with pytest.raises(ValueError, match=r"some\.py:2: this sentence is put together"):
        collect([tmp_path])


def test_a_new_sentence_is_listed_and_an_old_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("locales.collect.ROOT", tmp_path)
    for package in PACKAGES:
        (tmp_path / package).mkdir()
    for language in LANGUAGES:
        po_path(language).parent.mkdir(parents=True)
    code = tmp_path / "bot" / "some.py"
    code.write_text('say("Good morning.", locale)\n')
    assert main() == 1
    assert capsys.readouterr().err == "ko lacks: Good morning.\n"
    korean = po_path("ko")
    asked = 'msgid "Good morning."\nmsgstr "'
    korean.write_text(korean.read_text("utf-8").replace(asked, f"{asked}좋은 아침이에요."))
    assert main() == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("banter.*")}
    assert main() == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("banter.*")} == before
    code.write_text('say("Good evening.", locale)\n')
    assert main() == 1
    told = capsys.readouterr().err
    assert "ko no longer needs: 'Good morning.': '좋은 아침이에요.'" in told
    assert "ko lacks: Good evening." in told


def shown(call: ast.Call) -> Iterator[ast.expr]:
    """What a call shows, and whatever else it shows by these keywords."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    if name in SHOWING:
        yield from call.args
    yield from (word.value for word in call.keywords if word.arg in SHOWN)


def untranslated(expression: ast.expr) -> list[str]:
    """The words of a text that is written down where it is shown."""
    parts = expression.values if isinstance(expression, ast.JoinedStr) else [expression]
    words = [str(part.value) for part in parts if isinstance(part, ast.Constant)]
    return [text for text in words if re.search("[A-Za-z]{2}", text) and text not in NOT_WORDS]


def test_nothing_is_shown_without_a_translation() -> None:
    wrong = [
        f"{module}:{call.lineno} {text}"
        for module in everywhere("cogs", "bot.__main__")
        for call in module.nodes(ast.Call)
        if isinstance(call, ast.Call)
        for expression in shown(call)
        for text in untranslated(expression)
        if text not in {"True", "False", "None"}
    ]
    assert not wrong


def test_a_text_that_is_shown_as_it_is_would_be_found() -> None:
    call = ast.parse('await tell(interaction, f"You have {number} turns.")').body[0]
    (found,) = (node for node in ast.walk(call) if isinstance(node, ast.Call))
    assert [text for one in shown(found) for text in untranslated(one)] == ["You have ", " turns."]


def described(node: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Every text of a command, its subcommands, options and choices, and its translations."""
    yield node["description"], node.get("description_localizations") or {}
    for choice in node.get("choices") or ():
        yield choice["name"], choice.get("name_localizations") or {}
    for option in node.get("options") or ():
        yield from described(option)


async def test_discord_gets_every_description_in_korean_and_short_enough(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        texts = [text for command in world.registered().values() for text in described(command)]
    assert len(texts) > 20
    for english, localized in texts:
        assert localized == {"ko": translations("ko")[english]}
        assert 0 < len(english) <= MAX_DESCRIPTION
        assert 0 < len(localized["ko"]) <= MAX_DESCRIPTION, localized


COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("help", {}),
    ("status", {}),
    ("privacy", {}),
    ("reset", {}),
    ("settings", {}),
    ("settings", {"preset": "creative", "top_k": 5}),
    ("settings", {"preset": "defaults"}),
    ("settings", {"top_k": 5, "apply_to": "server"}),
    ("settings", {"top_k": 5000}),
    ("settings", {"preset": "{name}"}),
    ("mydata export", {}),
    ("mydata erase", {"confirm": "yes"}),
]


@pytest.mark.parametrize(("command", "options"), COMMANDS)
async def test_no_english_is_left_in_a_korean_answer(
    tmp_path: Path, command: str, options: dict[str, Any]
) -> None:
    async with commands_world(tmp_path) as world:
        for actor in (world.alice, world.moderator):
            assert_korean(await answer(world, actor, command, options))


async def answer(world: World, actor: Any, command: str, options: dict[str, Any]) -> str:
    return text_of(await world.use(actor, world.channel, command, locale="ko", **options))


def assert_korean(text: str) -> None:
    """No piece of an English sentence between its places, be it only two words."""
    assert re.search("[가-힣]", text)
    for sentence in sentences():
        for piece in re.split(r"\{\w+\}", sentence):
            words = piece.strip(" .,:;*()`-")
            assert " " not in words or words not in text, sentence


def test_the_command_line_explains_itself_in_korean() -> None:
    parser = build_parser("ko_KR.UTF-8")
    text = parser.format_help()
    assert "이 컴퓨터의 모델로 대화하는 Discord 봇입니다." in text
    assert "모델을 내려받아 변환하고 검증합니다" in text
