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


def order(*candidates: Candidate, weights: Weights = WEIGHTS) -> list[int]:
    return [one.index for one in rank(candidates, weights)]


def test_every_likelihood_is_a_mean_over_tokens() -> None:
    candidate = Candidate("Fine.", (-1.0, -3.0), alone=(-4.0, -6.0, -5.0), back=(-2.0,))
    found = features_of(candidate)
    assert (found.likelihood, found.alone, found.back) == (-2.0, -5.0, -2.0)


def test_the_length_is_the_number_of_tokens_with_what_ends_the_reply() -> None:
    assert features_of(Candidate("Fine.", (-1.0, -3.0, -0.5))).num_tokens == 3
    longer = Candidate("It was quite cold.", (-1.2,) * 8)
    assert order(Candidate("Cold.", (-1.0,) * 2), longer, weights=LIKELIHOOD_ALONE) == [0, 1]
    weights = replace(LIKELIHOOD_ALONE, length=0.25)
    assert order(Candidate("Cold.", (-1.0,) * 2), longer, weights=weights) == [1, 0]


def test_what_was_not_asked_is_not_known() -> None:
    found = features_of(Candidate("Fine.", (-1.0,)))
    assert (found.alone, found.back) == (None, None)


def test_the_score_is_the_weighted_sum_of_the_terms() -> None:
    features = Features(-2.0, alone=-5.0, back=-3.0, num_tokens=10)
    weights = Weights(antilm=0.5, reverse=0.2, length=2.0)
    assert score(features, weights) == pytest.approx(-2.0 + 2.5 - 0.6 + 2 * math.log(10))
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


def test_a_likelihood_that_one_lacks_counts_for_none() -> None:
    known = Candidate("One.", (-1.0,), alone=(-0.1,), back=(-9.0,))
    unknown = Candidate("Two.", (-2.0,), alone=(-INF,))
    assert order(known, unknown) == [0, 1]
    assert [one.features.alone for one in rank([known, unknown])] == [None, None]


def test_the_first_of_equals_comes_first() -> None:
    assert order(Candidate("One.", (-1.0,)), Candidate("Two.", (-1.0,))) == [0, 1]


def test_a_likelihood_that_is_no_number_ranks_last() -> None:
    assert order(Candidate("One.", (NAN,)), Candidate("Two.", (-9.0,))) == [1, 0]
    assert order(Candidate("One.", ()), Candidate("Two.", (-9.0,))) == [1, 0]
    assert order(Candidate("One.", (NAN, -1.0))) == [0]
    assert Candidate("x", (-INF, -1.0)).mean_logprob == -INF
    assert rank([]) == []


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
    found = rank(candidates)
    assert sorted(one.index for one in found) == list(range(len(candidates)))
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
