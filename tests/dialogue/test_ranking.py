"""Every term of the ranking by a known answer, and the order that they make."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue.ranking import (
    LIKELIHOOD_ALONE,
    WEIGHTS,
    Candidate,
    Features,
    Weights,
    features_of,
    rank,
    score,
)

INF, NAN = math.inf, math.nan


def order(*candidates: Candidate, said: str = "hello", weights: Weights = WEIGHTS) -> list[int]:
    return [standing.index for standing in rank(candidates, said, [], weights)]


def test_every_likelihood_is_a_mean_over_tokens() -> None:
    candidate = Candidate("Fine.", (-1.0, -3.0), alone=(-4.0, -6.0, -5.0), back=(-2.0,))
    found = features_of(candidate, "hi", [])
    assert (found.likelihood, found.alone, found.back) == (-2.0, -5.0, -2.0)


def test_the_length_is_the_number_of_tokens_with_what_ends_the_reply() -> None:
    assert features_of(Candidate("Fine.", (-1.0, -3.0, -0.5)), "hi", []).num_tokens == 3
    longer = Candidate("It was quite cold.", (-1.2,) * 8)
    assert order(Candidate("Cold.", (-1.0,) * 2), longer, weights=LIKELIHOOD_ALONE) == [0, 1]
    weights = replace(LIKELIHOOD_ALONE, length=0.25)
    assert order(Candidate("Cold.", (-1.0,) * 2), longer, weights=weights) == [1, 0]


def test_what_was_not_asked_is_not_known() -> None:
    found = features_of(Candidate("Fine.", (-1.0,)), "hi", [])
    assert (found.alone, found.back) == (None, None)


def test_echo_is_rouge_l_with_what_was_said() -> None:
    # 3 of 4 words of both in order: F1 is 2 * 3 / (4 + 4)
    found = features_of(Candidate("I like red cars", ()), "I like blue cars!", [])
    assert found.echo == 0.75


def test_repetition_is_the_most_with_an_own_earlier_turn() -> None:
    own = ["It is late.", "I like blue cars!", "Well."]
    assert features_of(Candidate("I like red cars", ()), "hm", own).repetition == 0.75
    assert features_of(Candidate("I like red cars", ()), "hm", []).repetition == 0.0


def test_in_reply_is_the_share_of_four_word_sequences_that_came_already() -> None:
    # a b c d e a b c d has 6 sequences of four, and "a b c d" twice
    found = features_of(Candidate("a b c d e a b c d", ()), "hm", [])
    assert found.in_reply == pytest.approx(1 / 6)
    assert features_of(Candidate("a b c", ()), "hm", []).in_reply == 0.0


def test_the_score_is_the_weighted_sum_of_the_terms() -> None:
    features = Features(-2.0, alone=-5.0, back=-3.0, num_tokens=10, echo=0.5, repetition=0.25)
    features = replace(features, in_reply=0.125)
    weights = Weights(antilm=0.5, reverse=0.2, length=2.0, echo=2.0, repetition=4.0, in_reply=8.0)
    wanted = -2.0 + 2.5 - 0.6 + 2 * math.log(10) - 1.0 - 1.0 - 1.0
    assert score(features, weights) == pytest.approx(wanted)
    assert score(features, LIKELIHOOD_ALONE) == -2.0


def test_the_likeliest_comes_first_where_only_likelihood_counts() -> None:
    candidates = (Candidate("One.", (-3.0,)), Candidate("Two.", (-1.0, -2.0)))
    assert order(*candidates, weights=LIKELIHOOD_ALONE) == [1, 0]


def test_what_is_likely_anyway_falls_behind_what_fits_here() -> None:
    dull = Candidate("I do not know.", (-1.0,), alone=(-1.5,))
    apt = Candidate("The beach was cold.", (-1.5,), alone=(-4.0,))
    weights = replace(LIKELIHOOD_ALONE, antilm=0.5)
    assert order(dull, apt, weights=LIKELIHOOD_ALONE) == [0, 1]
    assert order(dull, apt, weights=weights) == [1, 0]


def test_what_brings_back_what_was_said_comes_first_with_a_reverse_model() -> None:
    vague = Candidate("I see.", (-1.0,), back=(-5.0,))
    apt = Candidate("I surf, too.", (-1.5,), back=(-2.0,))
    assert order(vague, apt, weights=replace(LIKELIHOOD_ALONE, reverse=0.5)) == [1, 0]


def test_an_echo_and_a_repetition_fall_behind() -> None:
    weights = replace(LIKELIHOOD_ALONE, echo=1.0, repetition=1.0)
    candidates = [Candidate(text, (-1.0,)) for text in ("you like tea", "I said so", "So what?")]
    found = rank(candidates, "you like milk", ["I said no"], weights)
    assert found[0].index == 2
    assert found[0].score == -1.0
    assert found[1].score == pytest.approx(-1 - 2 / 3)


def test_a_likelihood_that_one_lacks_counts_for_none() -> None:
    known = Candidate("One.", (-1.0,), alone=(-0.1,), back=(-9.0,))
    unknown = Candidate("Two.", (-2.0,), alone=(-INF,))
    assert order(known, unknown) == [0, 1]
    assert [one.features.alone for one in rank([known, unknown], "hi", [])] == [None, None]


def test_the_first_of_equals_comes_first() -> None:
    assert order(Candidate("One.", (-1.0,)), Candidate("Two.", (-1.0,))) == [0, 1]


def test_a_likelihood_that_is_no_number_ranks_last() -> None:
    assert order(Candidate("One.", (NAN,)), Candidate("Two.", (-9.0,))) == [1, 0]
    assert order(Candidate("One.", ()), Candidate("Two.", (-9.0,))) == [1, 0]
    assert order(Candidate("One.", (NAN, -1.0))) == [0]
    assert Candidate("x", (-INF, -1.0)).mean_logprob == -INF
    assert rank([], "hi", []) == []


@given(
    st.lists(
        st.builds(
            Candidate,
            st.text(max_size=30),
            st.lists(st.floats(), max_size=3).map(tuple),
            st.lists(st.floats(), max_size=3).map(tuple),
            st.lists(st.floats(), max_size=3).map(tuple),
        ),
        max_size=5,
    )
)
def test_every_candidate_gets_one_place_whatever_the_models_said(
    candidates: list[Candidate],
) -> None:
    found = rank(candidates, "hello", ["hi"])
    assert sorted(one.index for one in found) == list(range(len(candidates)))
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
