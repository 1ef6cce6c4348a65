import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.rouge import MAX_WORDS, common_length, rouge_l, words

word_lists = st.lists(st.sampled_from("abcd"), max_size=20)


def slow_common_length(one: Sequence[str], other: Sequence[str]) -> int:
    """The longest common subsequence by the textbook's table."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1][j + 1] = (
                table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
            )
    return table[-1][-1]


@given(word_lists, word_lists)
def test_the_fast_common_length_is_the_slow_one(one: list[str], other: list[str]) -> None:
    assert common_length(one, other) == slow_common_length(one, other)


@given(word_lists, word_lists)
def test_likeness_is_symmetric_and_between_0_and_1(one: list[str], other: list[str]) -> None:
    assert 0 <= rouge_l(one, other) <= 1
    assert rouge_l(one, other) == rouge_l(other, one)
    assert rouge_l(one, one) == (1 if one else 0)


def test_rouge_l_of_lins_example() -> None:
    # Lin 2004, section 3.1: "police killed the gunman" against two candidates, beta = 1.
    reference = words("police killed the gunman")
    assert rouge_l(words("police kill the gunman"), reference) == 0.75
    assert rouge_l(words("the gunman kill police"), reference) == 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't! STOP it.", ["dont", "stop", "it"]),
        ("don’t stop, it", ["dont", "stop", "it"]),
        ("Straße_1", ["strasse", "1"]),
        ("안녕, 너의 이름은?", ["안녕", "너의", "이름은"]),
        ("나는학교에갔습니다", list("나는학교에갔습니다")),
        ("今日は good", ["今", "日", "は", "good"]),
        ("สวัสดี", list("สวัสดี")),
        ("😀 ... ?!", []),
        ("", []),
    ],
)
def test_words_leave_case_and_punctuation_out(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(max_size=40))
def test_words_do_not_depend_on_case(text: str) -> None:
    assert words(text.casefold()) == words(text)


def test_the_cost_is_bounded() -> None:
    long = words("word " * 100_000)
    assert len(long) == MAX_WORDS
    started_at = time.perf_counter()
    for _ in range(20):
        common_length(long, long)
    assert time.perf_counter() - started_at < 1
