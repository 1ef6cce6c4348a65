"""Each metric that needs replies only: a known answer, and people's published figures."""

import math
from pathlib import Path

import numpy as np
import pytest

from evaluation.distinct import Distinct
from evaluation.echo import echo
from evaluation.empty import empty
from evaluation.entropy import Entropy
from evaluation.fallback import fallback
from evaluation.generic import generic
from evaluation.history_rep4 import history_rep4
from evaluation.item import Item
from evaluation.length import length
from evaluation.metric import Better, Facts, Rows
from evaluation.published import DIALOGPT_6K, PEOPLE, YARDSTICKS
from evaluation.reading import read_items
from evaluation.rep4 import rep4
from evaluation.self_repetition import self_repetition
from evaluation.suite import measure, text_metrics
from evaluation.words import Cut
from tests.evaluation.figures import figure, is_unknown, replies

SHARED = Path(__file__).parents[3] / "shared" / "data"
HUMAN = SHARED / "dialogpt_human_ref_6k.txt"
DIALOGUES = (SHARED / "en_xpersona.valid.jsonl", SHARED / "en_selfdialogue.valid.jsonl")


def test_length_counts_words_and_an_empty_reply_has_none() -> None:
    assert figure(length(), replies("a b c", "", "d")) == pytest.approx(4 / 3)


def test_distinct_is_different_ngrams_by_all_of_all_replies() -> None:
    assert figure(Distinct(1), replies("a b a", "A b")) == pytest.approx(3 / 5)
    assert figure(Distinct(2), replies("a b a", "a b", "c")) == pytest.approx(2 / 3)
    assert is_unknown(figure(Distinct(2), replies("a", "")))


def test_entropy_is_in_nats() -> None:
    assert figure(Entropy(1), replies("a b", "c d")) == pytest.approx(math.log(4))
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert figure(Entropy(1), replies("a a a b")) == pytest.approx(expected)
    assert is_unknown(figure(Entropy(4), replies("a b c")))


def test_rep4_counts_what_a_reply_repeats_of_itself() -> None:
    again = "I like it very much, I like it very little"  # 7 fours, one of them twice
    assert figure(rep4(), replies(again)) == pytest.approx(1 / 7)
    assert figure(rep4(), replies("I like it very much", "I like it very much")) == 0
    assert is_unknown(figure(rep4(), replies("a b c")))


def test_rep4_of_the_history_counts_what_anybody_said_before() -> None:
    item = Item("yes we all live in a yellow house", ("hi", "we all live here", "We all live in!"))
    assert figure(history_rep4(), [item, Item("we all live in")]) == pytest.approx(1 / 5)


def test_echo_is_half_of_the_members_last_turn() -> None:
    items = [
        Item("you like big dogs", ("hello", "hi", "I like big dogs.")),
        Item("cats are better", ("I like big dogs.",)),
        Item("hello to you", ("hello to you", "hi", "how are you")),
        Item("nobody asked"),
    ]
    assert figure(echo(), items) == pytest.approx(1 / 3)


def test_self_repetition_is_an_own_turn_again() -> None:
    history = ("hi", "I am not sure what you mean", "why", "ok", "why not")
    items = [
        Item("I am not sure what you mean, sorry", history),
        Item("I am not sure what you mean!", history),
        Item("why not", history),
    ]
    assert figure(self_repetition(), items[:1]) == 1
    assert figure(self_repetition(), items) == pytest.approx(2 / 3)


def test_empty_is_what_shows_nothing() -> None:
    assert figure(empty(), replies("", " \u200b", "a", "😀")) == 0.5


def test_the_fallback_sentence_is_counted() -> None:
    assert figure(fallback(), [Item("hm", is_fallback=True), Item("hm")]) == 0.5


@pytest.mark.parametrize(
    "text",
    ["I don't know.", "I'm not sure what you mean", "Yeah, I think so!", "잘 모르겠어요", "lol ok"],
)
def test_stock_phrases_alone_are_generic(text: str) -> None:
    assert figure(generic(), replies(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "I don't know, ask my sister.",
        "I think so too often",
        "knowing",
        "고양이 좋아요?",
        "",
        "no1",
    ],
)
def test_what_says_something_is_not_generic(text: str) -> None:
    assert figure(generic(), replies(text)) == 0


def test_a_row_has_its_width() -> None:
    with pytest.raises(ValueError, match="2 numbers in a row of 3"):
        Rows(3).append(1, 2)


def test_figures_are_shown_as_people_read_them() -> None:
    share = Facts("x", "X", Better.LOWER, "%")
    assert [share.show(0.1234), share.show(float("nan"))] == ["12.34", "–"]
    assert Facts("x", "X", Better.LOWER, decimals=0).show(12345.6) == "12,346"


@pytest.mark.skipif(not HUMAN.exists(), reason="no ../shared/data with DialoGPT's human replies")
def test_the_published_row_of_people_is_reproduced() -> None:
    measured = measure(read_items(HUMAN), text_metrics(Cut.DSTC))
    ones = np.ones(6000)
    found = {
        metric.facts.name: round(statistic(ones), 3)
        for metric, statistic in zip(measured.metrics, measured.statistics, strict=True)
    }
    published = DIALOGPT_6K[PEOPLE]
    for name, digits in (("length", 1), ("entropy_4", 1), ("distinct_1", 3), ("distinct_2", 3)):
        assert round(found[name], digits) == published[name]


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.name)
def test_people_lie_within_their_yardsticks(path: Path) -> None:
    if not path.exists():
        pytest.skip("no ../shared/data with dialogues")
    metrics = {"self_repetition": self_repetition(), "echo": echo(), "rep4": rep4()}
    items = list(read_items(path))
    for name, metric in metrics.items():
        low, high = YARDSTICKS[name].people
        assert low / 2 <= figure(metric, items) <= high * 1.5
