"""Sentences in the language of who reads them."""

import pytest

from bot.errors import (
    ChatError,
    InvalidSettingError,
    NumericError,
    RefusedError,
    UnavailableError,
)
from bot.texts import _catalogue, explain, language_of, mark, say, terminal_locale
from cogs._telling import unknown_choice

SENTENCE = "This reply was cancelled."
IN_KOREAN = "이 답은 취소됐어요."

KOREAN = ["ko", "ko-KR", "ko_KR", "ko_KR.UTF-8", "ko.UTF-8", "ko_KR.eucKR", "KO-kr"]
ENGLISH = ["en", "en-US", "en_GB.UTF-8", "de", "pt-BR", "zh-TW", "kok-IN", "C", "C.UTF-8", "POSIX"]
ODD = ["", "-", "..", "{0}", "korean", "한국어", "../../ko"]


@pytest.mark.parametrize("locale", KOREAN)
def test_korean_is_spoken_whatever_the_form_of_the_locale(locale: str) -> None:
    assert language_of(locale) == "ko"
    assert say(SENTENCE, locale) == IN_KOREAN


@pytest.mark.parametrize("locale", [*ENGLISH, *ODD])
def test_english_is_spoken_where_there_is_no_catalogue(locale: str) -> None:
    assert language_of(locale) == "en"
    assert say(SENTENCE, locale) == SENTENCE


def test_a_sentence_without_a_translation_is_said_in_english() -> None:
    assert say("Nobody ever translated {what}.", "ko", what="this") == (
        "Nobody ever translated this."
    )


def test_without_its_catalogue_a_language_falls_back_to_english(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr("bot.texts._LOCALES", tmp_path)
    assert _catalogue.__wrapped__("ko").gettext(SENTENCE) == SENTENCE


def test_places_are_filled_in_both_languages() -> None:
    error = RefusedError(
        "One moment, please: I didn't catch that. Send it again in {seconds} s.",
        seconds=3,
    )
    assert explain(error, "en-US") == (
        "One moment, please: I didn't catch that. Send it again in 3 s."
    )
    assert explain(error, "ko") == (
        "잠깐만요! 방금 메시지는 받지 못했어요. 3초 뒤에 다시 보내 주세요."
    )
    assert str(error) == explain(error, "en-US")


@pytest.mark.parametrize(
    "value", ["{name}", "{0}", "{", "}}", "{value!r:>100}", "{name.__class__}"]
)
@pytest.mark.parametrize("locale", ["en", "ko"])
def test_braces_in_a_value_are_only_text(value: str, locale: str) -> None:
    told = explain(unknown_choice("preset", value), locale)
    assert f"“{value}”" in told
    assert "`preset`" in told


def test_an_error_is_explained_in_the_language_of_the_reader() -> None:
    assert explain(NumericError(), "ko") != explain(NumericError(), "de")
    assert explain(NumericError(), "de") == NumericError.sentence
    assert explain(ChatError(), "ko") == "문제가 생겼어요."


def test_an_error_that_brings_its_own_sentence_is_translated_too() -> None:
    error = UnavailableError(
        "Another Banter is already running with this token: stop that one first."
    )
    assert explain(error, "C") == str(error)
    korean = explain(error, "ko_KR.UTF-8")
    assert korean != str(error)
    assert "Banter" in korean


def test_values_keep_their_own_form() -> None:
    error = InvalidSettingError(name="top_p", low=0.0, high=1.0, value=1.5)
    assert explain(error, "ko") == "`top_p` 값은 0.0에서 1.0 사이여야 해요(입력한 값: 1.5)."


def test_a_marked_sentence_stays_as_it_is() -> None:
    assert mark(SENTENCE) == SENTENCE


@pytest.mark.parametrize(
    ("environ", "locale"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko_KR.UTF-8"),
        ({"LANG": "ko_KR.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en_US.UTF-8"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "ko_KR.UTF-8", "LC_MESSAGES": "C"}, "ko_KR.UTF-8"),
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "ko_KR"}, "ko_KR"),
        ({"LC_ALL": "C", "LANG": "ko_KR.UTF-8"}, "C"),
        ({"LC_CTYPE": "ko_KR.UTF-8"}, "en"),
    ],
)
def test_the_locale_of_the_terminal_is_the_strongest_variable_that_is_set(
    environ: dict[str, str], locale: str
) -> None:
    assert terminal_locale(environ) == locale


def test_the_locale_of_the_terminal_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    assert say(SENTENCE, terminal_locale()) == IN_KOREAN
