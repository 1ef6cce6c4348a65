import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.text import clean, is_blank

any_text = st.text(st.characters(), max_size=60)  # lone surrogates too
awkward_text = st.text(st.sampled_from("a \n\r\t\x00\u0301\u202e\ud800\udc00\u200d가\u1100\u1161"))
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@given(any_text | awkward_text)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(any_text | awkward_text)
def test_clean_text_can_be_stored_and_encoded(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.encode().decode() == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert {c for c in cleaned if unicodedata.category(c) in {"Cc", "Cs"}} <= {"\n", "\t"}
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(cleaned)
    assert "\n\n\n" not in cleaned
    assert cleaned == cleaned.strip()


@given(st.text(st.characters(categories=["L", "N", "P", "So"]), max_size=40))
def test_what_a_person_writes_stays(text: str) -> None:
    assert unicodedata.normalize("NFC", text).replace("\ufeff", "") == clean(text)


def test_korean_is_composed() -> None:
    apart = unicodedata.normalize("NFD", "안녕하세요")
    assert len(apart) == 12
    assert clean(apart) == "안녕하세요"


def test_an_accent_is_composed_with_the_letter_before_a_removed_control() -> None:
    assert clean("e\x00\u0301") == "é"


def test_a_lone_surrogate_is_replaced_and_a_pair_is_joined() -> None:
    assert clean("a\ud83d") == "a\ufffd"
    assert clean("\ude00b") == "\ufffdb"
    assert clean("\ud83d\ude00") == "😀"
    assert clean("\ud83dx\ude00") == "\ufffdx\ufffd"


def test_a_right_to_left_override_does_not_leak() -> None:
    assert clean("\u202egnp.exe\u2066!\u2069") == "gnp.exe!"


def test_terminal_commands_are_taken_apart() -> None:
    assert clean("a\x1b[31mb\x9b2Jc\x07\x7f") == "a[31mb2Jc"


def test_hebrew_keeps_its_marks_of_direction() -> None:
    assert clean("שלום\u200f!") == "שלום\u200f!"


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\u2028", "\u2029", "\x85", "\n"])
def test_every_line_end_becomes_a_newline(newline: str) -> None:
    assert clean(f"a{newline}b") == "a\nb"


def test_blank_lines_are_folded_to_one() -> None:
    assert clean("a\n\n\n\n\nb\n \t\n \nc\n\nd") == "a\n\nb\n\nc\n\nd"


def test_indentation_stays() -> None:
    assert clean("if x:\n    y\n\n    z") == "if x:\n    y\n\n    z"


def test_joined_emoji_stay_whole() -> None:
    assert clean(f"{FAMILY} ❤️") == f"{FAMILY} ❤️"


def test_500_nested_quotes_stay_as_they_are() -> None:
    assert clean("> " * 500 + "hi") == "> " * 500 + "hi"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\n\r\v\f",
        "\u00a0\u2003\u3000",
        "\u200b\u200c\u200d\u2060\ufeff",
        "\u3164",
        "\u115f\u1160\uffa0",
        "\u2800\u2800",
        "\u0301\u0302",
        "\ufe0f",
        "\u034f\u061c\u17b4\u180e",
        "\u202e\u2066",
        "\U000e0041\U000e0100\U0001d159",
        "\udfff\ud800",
        "\ufffd",
        "\uffff\U0001fffe\ufdd0",
        "\x00\x1f\x7f\x9f",
        "\u00ad",
    ],
)
def test_what_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)
    assert is_blank(clean(text))


@pytest.mark.parametrize(
    "text",
    ["a", "0", ".", "?", "ㅋ", "가", "😀", FAMILY, "❤️", "🇰🇷", "1️⃣", "🏽", "\ue000", "\U0001fae8"],
)
def test_what_shows_something_is_not_blank(text: str) -> None:
    assert not is_blank(text)
    assert not is_blank(f"\u200b{text}\u3164")


@given(any_text, any_text)
def test_a_text_is_blank_only_if_all_of_it_is(one: str, other: str) -> None:
    assert is_blank(one + other) == (is_blank(one) and is_blank(other))
