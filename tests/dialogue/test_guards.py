import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.guards import Fault, find_fault

DIALOGUES = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.parametrize("text", ["힘들\ufffd군요", "\ufffd hello", "hello\ufffd", "a\ufffdb"])
def test_a_broken_letter_is_never_said(text: str) -> None:
    assert find_fault(text, "hi", []) is Fault.GARBLED


@pytest.mark.parametrize("text", ["", "  ", "\u200b\u2060", "\u3164", "\u0301", "\ufffd"])
def test_a_reply_that_shows_nothing_is_empty(text: str) -> None:
    assert find_fault(text, "hi", []) is Fault.EMPTY


@pytest.mark.parametrize("text", ["😀", "?", "...", ":)", "네", "ok"])
def test_a_reply_of_one_sign_is_fit(text: str) -> None:
    assert find_fault(text, "hi", ["hello"]) is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("What do you do for work?", "what do you do for a work"),
        ("I like big dogs.", "I like big dogs!"),
        ("Do you like dogs?", "Yes, do you like dogs?"),
        ("나는 오늘 학교에 갔어", "나는 오늘 학교에 갔어."),
        ("나는오늘학교에갔습니다", "나는오늘학교에갔습니까?"),
        ("你今天吃了什么", "你今天吃了什么?"),
    ],
)
def test_the_members_words_back_are_an_echo(said: str, text: str) -> None:
    assert find_fault(text, said, []) is Fault.ECHO


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("hi", "hi"),
        ("Thank you!", "thank you"),
        ("안녕하세요", "안녕하세요!"),
        ("How are you?", "I'm good, how are you?"),
        ("How are you?", "How are you? I'm doing great."),
        ("I like dogs and I have two of them.", "I like cats a lot, we have three."),
        ("😀😀😀", "😀😀😀"),
    ],
)
def test_a_greeting_back_and_a_question_back_are_no_echo(said: str, text: str) -> None:
    assert find_fault(text, said, []) is None


def test_a_question_back_is_an_echo_where_the_member_said_much() -> None:
    said = "what do you think of the game that was played on sunday"
    assert find_fault(f"Hm well. {said}", said, []) is Fault.ECHO


def test_an_own_earlier_turn_is_not_said_again() -> None:
    own = ["I'm not sure what you mean.", "Nice!"]
    assert find_fault("I'm not sure what you mean", "why?", own) is Fault.SELF_COPY
    assert find_fault("I'm quite sure what I mean", "why?", own) is None


def test_a_short_answer_may_be_said_twice_but_not_three_times_on_end() -> None:
    assert find_fault("Yes.", "sure?", ["Yes!"]) is None
    assert find_fault("Yes.", "sure?", ["yes", "YES"]) is Fault.SELF_COPY
    assert find_fault("Yes.", "sure?", ["yes", "yes", "no"]) is None
    assert find_fault("😀", "sure?", ["😀", "😀"]) is Fault.SELF_COPY


@pytest.mark.parametrize(
    "text",
    [
        "normal normal normal normal normal",
        "work jobs jobs jobs jobs jobs",
        "I love to read. I love to read.",
        "i love coffee . i love coffee .i love coffee",
        "spider man, spider man, spider man",
        "I do not have a job, but I do not have a job",
        "뭐 해 뭐 해 뭐 해",
        "我喜欢猫我喜欢猫",
        "a" * 30,
        "!" * 30,
        "hahaha" * 10,
        "😂" * 40,
        "ㅋ" * 40,
        "x" + "abc" * 20,
    ],
)
def test_a_reply_that_goes_round_is_a_loop(text: str) -> None:
    assert find_fault(text, "hi", []) is Fault.LOOP


@pytest.mark.parametrize(
    "text",
    [
        "no no no",
        "bye bye bye bye",
        "ㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋ",
        "hahahahahaha",
        "Noooooooooo!!!!!!!!",
        "😂😂😂😂😂😂",
        "very very good, thank you very much",
        "I have a dog and I have a cat.",
        "It is what it is, and that is that.",
        "........",
    ],
)
def test_laughter_and_emphasis_are_no_loop(text: str) -> None:
    assert find_fault(text, "hi", []) is None


@given(st.text(max_size=80), st.text(max_size=40), st.lists(st.text(max_size=40), max_size=4))
def test_every_text_gets_a_verdict(text: str, said: str, own_turns: list[str]) -> None:
    assert find_fault(text, said, own_turns) in {None, *Fault}


@given(st.integers(5, 60), st.sampled_from(["la", "yes", "네", "1"]))
def test_one_word_over_and_over_is_always_a_loop(num_rounds: int, word: str) -> None:
    assert find_fault(" ".join([word] * num_rounds), "sing", []) is Fault.LOOP


@pytest.mark.parametrize("unit", ["a b ", "x", "ab", "word ", "ab cd ef gh ", "가"])
def test_a_very_long_reply_is_judged_quickly(unit: str) -> None:
    text = unit * 20_000
    assert find_fault(text, text, [text] * 8) is Fault.LOOP


@pytest.mark.parametrize("name", ["en_xpersona.valid.jsonl", "ko_xpersona.valid.jsonl"])
def test_people_are_rarely_taken_for_faulty(name: str) -> None:
    if not (DIALOGUES / name).exists():
        pytest.skip("the dialogues of people are not part of the project")
    num_replies, faults = 0, []
    for line in (DIALOGUES / name).read_text().splitlines()[:300]:
        turns = json.loads(line)["turns"]
        for i in range(1, len(turns)):
            num_replies += 1
            faults.append(find_fault(turns[i], turns[i - 1], turns[i % 2 : i : 2][-4:]))
    for fault in Fault:
        assert faults.count(fault) / num_replies <= 0.003, fault
