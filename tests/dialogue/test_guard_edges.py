"""Both sides of every edge at which a reply is taken for faulty.

The numbers stand here once more: whoever moves an edge has to say so in a test.
"""

import pytest

from bot.dialogue.guards import Fault, find_fault
from bot.dialogue.ranking import WEIGHTS, Features, Weights, score
from bot.dialogue.rouge import words

SAID = "what do you say"


def distinct(count: int, prefix: str = "w") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def verdict(reply: list[str], said: list[str] | None = None, *own: list[str]) -> Fault | None:
    text = SAID if said is None else " ".join(said)
    return find_fault(" ".join(reply), text, [" ".join(turn) for turn in own])


@pytest.mark.parametrize(
    ("num_said", "num_reply", "fault"),
    [
        (7, 3, Fault.ECHO),  # 2 * 3 / 10: 0.6
        (8, 3, None),  # 2 * 3 / 11: 0.545
        (17, 7, None),  # 2 * 7 / 24: 0.583
        (16, 7, Fault.ECHO),  # 2 * 7 / 23: 0.609
    ],
)
def test_six_tenths_of_the_members_words_are_an_echo(
    num_said: int, num_reply: int, fault: Fault | None
) -> None:
    said = distinct(num_said)
    assert verdict(said[:num_reply], said) is fault


@pytest.mark.parametrize(
    ("num_shared", "num_words", "fault"),
    [
        (4, 5, Fault.SELF_COPY),  # 0.8
        (7, 9, None),  # 0.778
        (5, 6, Fault.SELF_COPY),  # 0.833
    ],
)
def test_eight_tenths_of_an_own_turn_are_a_copy(
    num_shared: int, num_words: int, fault: Fault | None
) -> None:
    own = distinct(num_words)
    reply = [*own[:num_shared], *distinct(num_words - num_shared, "other")]
    assert verdict(reply, None, own) is fault


@pytest.mark.parametrize(("count", "is_copy"), [(2, False), (3, True)])
def test_three_words_are_a_copy_and_two_are_none(count: int, is_copy: bool) -> None:
    reply = distinct(count)
    assert verdict(reply, reply) is (Fault.ECHO if is_copy else None)
    assert verdict(reply, None, reply) is (Fault.SELF_COPY if is_copy else None)


@pytest.mark.parametrize(("num_before", "is_copy"), [(1, False), (2, True)])
def test_a_short_answer_is_a_copy_at_the_third_time(num_before: int, is_copy: bool) -> None:
    before = [["yes"]] * num_before
    assert verdict(["yes"], None, *before) is (Fault.SELF_COPY if is_copy else None)


@pytest.mark.parametrize(
    ("num_said", "num_own", "fault"),
    [(6, 2, None), (6, 1, Fault.ECHO), (7, 2, Fault.ECHO)],
)
def test_a_question_of_six_words_may_be_given_back_with_two_own_words(
    num_said: int, num_own: int, fault: Fault | None
) -> None:
    said, own = distinct(num_said), distinct(num_own, "own")
    assert verdict([*own, *said], said) is fault
    assert verdict([*said, *own], said) is fault


@pytest.mark.parametrize(
    ("period", "rounds", "is_loop"),
    [
        *((1, 4, False), (1, 5, True)),
        *((2, 2, False), (2, 3, True)),
        *((3, 2, False), (3, 3, True)),
        *((4, 1, False), (4, 2, True)),
        *((32, 2, True), (33, 2, False)),
    ],
)
def test_so_many_rounds_make_a_loop(period: int, rounds: int, is_loop: bool) -> None:
    # so much around them that the share of repeated sequences says nothing
    reply = [*distinct(period) * rounds, *distinct(140 if period > 30 else 30, "other")]
    assert verdict(reply) is (Fault.LOOP if is_loop else None)


@pytest.mark.parametrize(
    ("num_again", "num_between", "is_loop"),
    [
        (4, 1, False),  # 1 sequence of four words comes again, of 6
        (5, 2, True),  # 2 of 9
        (6, 11, True),  # 3 of 20: 0.15
        (6, 12, False),  # 3 of 21: 0.143
    ],
)
def test_two_sequences_that_come_again_and_make_up_a_share_are_a_loop(
    num_again: int, num_between: int, is_loop: bool
) -> None:
    again = distinct(num_again)
    reply = [*again, *distinct(num_between, "other"), *again]
    assert verdict(reply) is (Fault.LOOP if is_loop else None)


@pytest.mark.parametrize(
    ("unit", "most"), [("a", 23), ("!", 23), ("ha", 11), ("hahe", 11), ("abcdefgh", 11)]
)
def test_a_run_is_a_loop_from_the_next_one_on(unit: str, most: int) -> None:
    assert find_fault(unit * most, "hi", []) is None
    assert find_fault(unit * (most + 1), "hi", []) is Fault.LOOP


def test_what_is_longer_than_eight_signs_makes_no_run() -> None:
    assert find_fault("abcdefgh" * 12, "hi", []) is Fault.LOOP
    assert find_fault("abcdefghi" * 12, "hi", []) is None


@pytest.mark.parametrize(("num_before", "fault"), [(3975, Fault.LOOP), (3976, None)])
def test_runs_are_looked_for_in_four_thousand_signs(num_before: int, fault: Fault | None) -> None:
    before = " ".join(distinct(1000))[:num_before]
    assert find_fault(f"{before} {'!' * 24}", "hi", []) is fault


def test_five_hundred_and_twelve_words_are_compared() -> None:
    assert len(words(" ".join(distinct(512)))) == 512
    assert words(" ".join(distinct(513))) == distinct(512)


def test_eight_syllables_are_a_sentence_without_spaces() -> None:
    assert words("가나다라마바사") == ["가나다라마바사"]
    assert words("가나다라마바사아") == list("가나다라마바사아")


def test_the_weights_in_force_are_those_that_were_measured() -> None:
    """docs/decoding.md has the figures that they were chosen by."""
    assert Weights(0.75, 1.0, 0.75) == WEIGHTS
    features = Features(-2.0, -5.0, -3.0, 1)
    assert score(features, WEIGHTS) == pytest.approx(-2 + 3.75 - 3)
