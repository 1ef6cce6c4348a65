"""What a reader sees as one character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.text import graphemes

AWKWARD = (
    "\r\n\t a\u00e9\u0301\u0308\u200d\u200c\u200b\ufe0f\u20e3*#1\u1100\u1161\u11a8가각힣"
    "\u0600\u0e33\u094d\u0915\u0937\u093e\U0001f469\U0001f3fd\u2764\U0001f525\U0001f1f0\U0001f1f7"
    "\ua960\ud7cb\U0001f3f4\U000e0067\U000e007f\u00a9\u2122\ufeff"
)
awkward_text = st.text(st.sampled_from(AWKWARD), max_size=12)


@pytest.mark.parametrize(
    "cluster",
    [
        "e\u0301\u0323",
        "가",
        "\u1112\u1161\u11ab",
        "가\u11ab",
        "👍🏽",
        "👩‍❤️‍🔥",
        "👨‍👩‍👧‍👦",
        "🐦\u200d🔥",  # newer than the Unicode of Python 3.11
        "🧑\u200d🩰",
        "\U0001fae9\ufe0f",
        "🇰🇷",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "1\ufe0f\u20e3",
        "\r\n",
        "नि",
        "क\u094dष",
        "क\u094d\u200dष",
        "ক\u09cdষ",
        "ક\u0acdષ",
        "క\u0c4dష",
        "ക\u0d4dഷ",
        "\u1000\u1039\u1001",
        "\u0e01\u0e33",
        "\u06001",
    ],
)
def test_a_cluster_stays_whole(cluster: str) -> None:
    assert graphemes(f"x{cluster}y") == ["x", cluster, "y"]


def test_flags_are_taken_in_pairs() -> None:
    assert graphemes("🇰🇷🇯🇵🇺") == ["🇰🇷", "🇯🇵", "🇺"]


def test_a_mark_after_a_newline_stands_alone() -> None:
    assert graphemes("a\n\u0301b") == ["a", "\n", "\u0301", "b"]


def test_an_empty_text_has_no_clusters() -> None:
    assert graphemes("") == []


@given(st.text(st.characters(), max_size=50) | awkward_text)
def test_nothing_is_lost(text: str) -> None:
    assert "".join(graphemes(text)) == text
    assert all(graphemes(text))


def test_a_heap_of_marks_costs_no_more_than_other_text() -> None:
    assert len(graphemes("a" + "\u0301\u0323" * 50_000)) == 1
