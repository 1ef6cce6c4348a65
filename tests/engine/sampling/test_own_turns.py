"""The rules over the bot's earlier turns: known answers, and both against slow, obvious code."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.dialogue.sampling import PRESETS, SamplingParams
from bot.engine.sampling.rules import DRY_ALLOWED_LENGTH, DRY_BASE, OwnTurns, ReplyRow, apply_rules

NUM_IDS = 12
END_ID = 0
OFF = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "no_repeat_own_ngram_size": 0,
    "min_new_tokens": 1,
}
Turns = Sequence[Sequence[int]]

turns_of_few_words = st.lists(st.lists(st.integers(0, 3), max_size=14), max_size=4)
reply_of_few_words = st.lists(st.integers(1, 3), max_size=14)


def losses(
    ids: Sequence[int], own: Turns, *, end_ids: Sequence[int] = (END_ID,), **changes: float
) -> list[float]:
    """What the rules take from every token's logit after the reply's `ids`."""
    params = SamplingParams(**OFF | changes)  # type: ignore[arg-type]  # a test's keyword arguments
    logits = torch.zeros(1, NUM_IDS)
    ruled = apply_rules(logits, [ReplyRow(ids, params, OwnTurns(own, params))], end_ids)
    taken: list[float] = (-ruled[0]).tolist()
    # no reply is empty: what ends it is forbidden at its beginning, whatever was said
    return taken if ids else [loss if i not in end_ids else 0.0 for i, loss in enumerate(taken)]


def banned(ids: Sequence[int], own: Turns, size: int) -> set[int]:
    taken = losses(ids, own, no_repeat_own_ngram_size=size)
    return {token_id for token_id, loss in enumerate(taken) if loss == float("inf")}


def dry(ids: Sequence[int], own: Turns = (), *, multiplier: float = 0.8) -> dict[int, float]:
    taken = losses(ids, own, dry_multiplier=multiplier)
    return {token_id: loss for token_id, loss in enumerate(taken) if loss}


# -- The ban of what was said in earlier turns ---------------------------------------------------


def test_a_reply_does_not_complete_what_an_earlier_turn_said() -> None:
    own = [(1, 2, 3, 4, 5)]
    assert banned([1, 2, 3], own, 4) == {4}
    assert banned([9, 2, 3, 4], own, 4) == {5}
    assert banned([1, 2, 9], own, 4) == set()
    assert banned([3, 4, 5], own, 4) == set()


def test_before_so_many_tokens_a_reply_completes_nothing() -> None:
    assert banned([], [(1, 2, 3, 4)], 4) == banned([2, 3], [(1, 2, 3, 4)], 4) == set()
    assert banned([], [(1, 2)], 1) == {1, 2}


def test_an_n_gram_never_reaches_from_one_turn_into_the_next() -> None:
    assert banned([1, 2, 3], [(1, 2), (3, 4)], 4) == set()
    assert banned([2, 3], [(1, 2), (3, 4)], 3) == set()
    assert banned([1, 2], [(1, 2), (1, 2, 3), (1, 2, 7)], 3) == {3, 7}


def test_what_the_reply_itself_said_is_another_rule() -> None:
    assert banned([1, 2, 3, 1, 2], [], 3) == set()


def test_the_end_is_never_banned_for_having_been_said() -> None:
    assert banned([1], [(1, END_ID), (1, 4)], 2) == {4}
    assert losses([1], [(1, 0), (1, 5)], end_ids=(0, 5), no_repeat_own_ngram_size=2) == [0] * 12


def test_own_words_are_said_again_where_there_are_no_others() -> None:
    everything = [tuple(range(NUM_IDS))]
    assert banned([3], everything, 1) == set(range(NUM_IDS)) - {END_ID}
    taken = losses([3], everything, no_repeat_own_ngram_size=1, min_new_tokens=4)
    assert taken == [float("inf")] + [0] * (NUM_IDS - 1)


def test_ids_that_the_model_does_not_know_harm_nobody() -> None:
    assert banned([1], [(1, NUM_IDS), (1, 10**9), (1, 2)], 2) == {2}
    assert dry([1, 2], [(1, 2, 10**9), (1, 2, 3)]) == {3: pytest.approx(0.8)}


@settings(max_examples=200, deadline=None)
@given(reply_of_few_words, turns_of_few_words, st.integers(0, 5))
def test_the_ban_equals_slow_obvious_code(ids: list[int], own: list[list[int]], size: int) -> None:
    said = {tuple(turn[i : i + size]) for turn in own for i in range(len(turn) - size + 1)}
    expected = {
        token_id
        for token_id in range(1, NUM_IDS)
        if size and len(ids) >= size - 1 and (*ids[len(ids) - size + 1 :], token_id) in said
    }
    assert banned(ids, own, size) == expected


# -- DRY -----------------------------------------------------------------------------------------


def test_dry_costs_more_the_longer_the_match() -> None:
    own = [(1, 2, 3, 4, 5, 6)]
    assert dry([1], own) == {}
    assert dry([1, 2], own) == {3: pytest.approx(0.8)}
    assert dry([1, 2, 3], own) == {4: pytest.approx(0.8 * 1.75)}
    assert dry([9, 2, 3, 4, 5], own) == {6: pytest.approx(0.8 * 1.75**2)}
    assert dry([1, 2, 3], own, multiplier=5.0) == {4: pytest.approx(5 * 1.75)}


def test_dry_looks_at_the_reply_in_progress_too() -> None:
    assert dry([1, 2, 3, 7, 1, 2, 3]) == {7: pytest.approx(0.8 * 1.75)}
    assert dry([5, 5, 5, 5]) == {5: pytest.approx(0.8 * 1.75)}
    assert dry([1, 2, 3]) == {}


def test_of_several_matches_dry_counts_the_longest() -> None:
    assert dry([1, 2, 3], [(2, 3, 4), (1, 2, 3, 4), (2, 3, 4)]) == {4: pytest.approx(0.8 * 1.75)}
    assert dry([1, 2, 3], [(2, 3, 6), (1, 2, 3, 4)]) == {
        4: pytest.approx(0.8 * 1.75),
        6: pytest.approx(0.8),
    }


def test_dry_never_reaches_from_one_turn_into_the_next() -> None:
    assert dry([1, 2], [(1,), (2, 3)]) == {}
    assert dry([9, 1, 2], [(9,), (1, 2, 3)]) == {3: pytest.approx(0.8)}


def test_dry_never_makes_the_end_less_likely() -> None:
    assert dry([1, 2, 3], [(1, 2, 3, END_ID)]) == {}


def test_the_longest_match_leaves_a_number() -> None:
    turn = [1] * 250
    (loss,) = dry(turn[:200], [turn], multiplier=5.0).values()
    assert loss == pytest.approx(5 * 1.75**48)


@settings(max_examples=200, deadline=None)
@given(reply_of_few_words, turns_of_few_words)
def test_dry_equals_slow_obvious_code(ids: list[int], own: list[list[int]]) -> None:
    expected: dict[int, float] = {}
    for text in (ids, *own):
        for end in range(len(text)):
            before = text[:end]
            match = max(
                n for n in range(len(ids) + 1) if before[len(before) - n :] == ids[-n:] or not n
            )
            if match >= DRY_ALLOWED_LENGTH and text[end] != END_ID:
                loss = 0.8 * DRY_BASE ** (match - DRY_ALLOWED_LENGTH)
                expected[text[end]] = max(loss, expected.get(text[end], 0))
    assert dry(ids, own) == pytest.approx(expected)


# -- Both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_keeps_the_bot_from_saying_the_same_again(preset: str) -> None:
    params = SamplingParams(**PRESETS[preset])  # type: ignore[arg-type]  # by name
    own = OwnTurns([(1, 2, 3, 4)], params)
    ruled = apply_rules(torch.zeros(1, NUM_IDS), [ReplyRow([1, 2, 3], params, own)], (END_ID,))
    assert (ruled[0] == -torch.inf).nonzero().tolist() == [[4]]
