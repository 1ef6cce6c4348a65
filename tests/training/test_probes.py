import pytest

from training.probes import Rate, is_recalled, recall_probes
from training.smalltalk.grammar import Grammar
from training.smalltalk.words import Split


@pytest.mark.parametrize(
    ("reply", "word", "recalled"),
    [
        ("Your name is Sam.", "sam", True),
        ("Your name is Samuel.", "Sam", False),
        ("You're 17, you said.", "17", True),
        ("You're 170.", "17", False),
        ("라면을 좋아하죠!", "라면", True),
        ("민수님이죠!", "지영", False),
    ],
)
def test_a_word_is_recalled_whole(reply: str, word: str, recalled: bool) -> None:
    assert is_recalled(reply, word) is recalled


def test_probes_are_the_same_every_time_and_go_through_all_facts(grammar: Grammar) -> None:
    one, other = (
        recall_probes(grammar, Split.HELD_OUT, num_between=1, num_probes=60, seed=1)
        for _ in range(2)
    )
    assert one == other
    assert len({probe.word for probe in one}) > 30


def test_a_rate_is_shown_in_percent() -> None:
    assert str(Rate(1, 3)) == "33.3 %"
    assert str(Rate(0, 0)) == "0.0 %"
