"""What is an echo and what is an answer; the judged lines were written before the rules."""

import json
from pathlib import Path

import pytest

from bot.dialogue.guards import Fault, find_fault

JUDGED = [
    json.loads(line)
    for line in (Path(__file__).parent / "judged_echoes.jsonl").read_text().splitlines()
]
ANSWERS = [(one["said"], one["reply"]) for one in JUDGED if not one["is_echo"]]
REWORDINGS = [(one["said"], one["reply"]) for one in JUDGED if one["is_echo"]]


def test_there_are_sixty_of_each() -> None:
    assert (len(ANSWERS), len(REWORDINGS)) == (60, 60)


@pytest.mark.parametrize(("said", "reply"), ANSWERS)
def test_a_right_answer_is_not_refused(said: str, reply: str) -> None:
    assert find_fault(reply, said, []) is None


def test_a_statement_said_back_is_refused() -> None:
    kept = [pair for pair in REWORDINGS if find_fault(pair[1], pair[0], []) is not Fault.ECHO]
    assert len(kept) <= 3, kept


@pytest.mark.parametrize(
    ("said", "reply", "fault"),
    [
        # a question: a word that means something and that it lacks
        ("What is the capital of France?", "The capital of France.", Fault.ECHO),
        ("What is the capital of France?", "Well, the capital of France really.", Fault.ECHO),
        ("What is the capital of France?", "The capital of France is Lyon.", None),
        ("what is the capital of france", "the capital of france is lyon", None),
        ("hello there, what is the capital of France", "The capital of France is Lyon.", None),
        ("The capital of France", "The capital of France is.", Fault.ECHO),
        ("What a day I had at work", "What a day you had at work!", Fault.ECHO),
        ("When I was young I lived here", "When you were young you lived here.", Fault.ECHO),
        # yes or no
        ("Is the sky so blue today?", "Yes, the sky is so blue today.", None),
        ("Is the sky so blue today?", "The sky is so blue today.", None),
        ("Is the sky so blue today?", "Is the sky so blue today", Fault.ECHO),
        ("Is the sky so blue today?", "Yes, is the sky so blue today?", Fault.ECHO),
        ("지금 서울에 비가 와?", "응, 지금 서울에 비가 와.", None),
        ("지금 서울에 비가 와?", "지금 서울에 비가 와?", Fault.ECHO),
        # a choice: what is chosen leaves something out
        ("Shall we eat pizza or pasta tonight?", "We eat pasta tonight.", None),
        (
            "Shall we eat pizza or pasta tonight?",
            "Eat pizza or pasta tonight",
            Fault.ECHO,
        ),
        # to be asked to repeat
        ("Repeat after me: I like big dogs", "I like big dogs.", None),
        ("ok, now please say I like big dogs", "I like big dogs.", None),
        ("They say I like big dogs", "They say I like big dogs.", Fault.ECHO),
        ("따라 해 봐: 나는 큰 개가 좋아", "나는 큰 개가 좋아", None),
        # a statement: fillers, pronouns and endings are nothing of one's own, a new question is
        ("I have an exam tomorrow", "Why do you have an exam tomorrow?", None),
        ("I have an exam tomorrow", "You have an exam tomorrow? Good luck then!", None),
        ("I have an exam tomorrow", "I know you have an exam tomorrow", Fault.ECHO),
        ("I am so tired today", "Tired today, are you?", Fault.ECHO),
        ("나 오늘 피곤해", "오늘 피곤하구나.", Fault.ECHO),
        ("나 오늘 피곤해", "오늘 많이 피곤하구나, 푹 쉬어.", None),
        ("나 오늘 피곤해", "오늘 왜 피곤해?", None),
        # three of five words that mean something, two of four
        ("Ann sold Bob's red bike", "Ann sold Bob?", Fault.ECHO),
        ("Ann sold Bob's old red bike", "Ann sold Bob?", None),
        # up to two words are said back by people
        ("Nice weather", "Nice weather!", None),
        ("좋은 아침이에요", "좋은 아침이에요!", None),
    ],
)
def test_both_sides_of_what_an_echo_is(said: str, reply: str, fault: Fault | None) -> None:
    assert find_fault(reply, said, []) is fault


@pytest.mark.parametrize(
    ("said", "before", "fault"),
    [
        ("What is the capital of France?", "What is the capital of France?", None),
        ("What's the capital of France again?", "what is the capital of France", None),
        ("And what is the capital of Spain?", "What is the capital of France?", Fault.SELF_COPY),
        ("Where is France?", "What is France?", Fault.SELF_COPY),
        ("I like the capital of France.", "I like the capital of France.", Fault.SELF_COPY),
        ("Say that again.", "What is the capital of France?", None),
        ("한국의 수도는 어디야?", "한국의 수도가 어디예요?", None),
    ],
)
def test_the_same_question_may_get_the_same_answer(
    said: str, before: str, fault: Fault | None
) -> None:
    answer = "It is Paris, as far as I know."
    assert find_fault(answer, said, ["Hm.", answer], questions=["hi", before]) is fault


def test_a_short_answer_may_be_given_to_the_same_question_any_number_of_times() -> None:
    asked = "What is the capital of France?"
    assert find_fault("Paris.", asked, ["Paris"] * 4, questions=[asked] * 4) is None
    assert find_fault("Paris.", asked, ["Paris"] * 4, questions=["hi"] * 4) is Fault.SELF_COPY
    assert find_fault("Paris.", asked, ["Paris"] * 4) is Fault.SELF_COPY
