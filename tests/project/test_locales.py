"""The catalogues: whole, true to the sentences, and what `make locales` would write."""

import gettext
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.pofile import read_po

from bot.errors import ChatError
from bot.rendering.settings_table import LAYER_NAMES
from bot.texts import LANGUAGES
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

languages = pytest.mark.parametrize("language", LANGUAGES)
foreign = pytest.mark.parametrize("language", [one for one in LANGUAGES if one != "en"])

RENEW = "run `make locales`, translate what it lists, and run it again"
# Particles whose form depends on the sound before them, which nobody knows of a value.
PARTICLE = re.compile(r"\}[”`]?(?:은|는|이|가|을|를|과|와|으로|로|이?나|이?라|이?여야)(?![\w(]|$)")
NAMES = re.compile(
    r"\b[A-Z]+(?:_[A-Z]+)+\b|\b[A-Z]+=\w+|`[^`]+`|https?://\S+|\.env\b|(?<![\w/])/[a-z]+\b"
)


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
        assert said.count("  ") == sentence.count("  "), said
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
    assert len(kinds) > 15
    assert {kind.sentence for kind in kinds} <= set(sentences())


def test_names_that_are_said_elsewhere_are_collected() -> None:
    assert {*LAYER_NAMES.values(), *PERMISSION_NAMES.values()} <= set(sentences())


def test_collecting_finds_every_form_of_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text(
        'texts.say("one " "and two", locale)\n'
        'say("three" if many else mark("four"), locale)\n'
        'raise ModelError(\n    "five {folder}", folder=folder)\n'
        'raise RefusedError("seven {seconds}", seconds=7)\n'
        'class Refused(ChatError):\n    sentence: str = "six"\n'
        'say(NAMES["not this"], locale)\nwrite("nor this")\nsay("three", locale)\n'
    )
    assert collect([tmp_path]) == [
        "five {folder}",
        "four",
        "one and two",
        "seven {seconds}",
        "six",
        "three",
    ]


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
