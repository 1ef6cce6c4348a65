import random
from itertools import pairwise

import pytest

from training.forms import IGNORED, BothSides, BotTurns, Form, Reversed, Row, Turn, choose_form
from training.vocabulary import END_ID, WINDOW

A, B, C, D = [1, END_ID], [2, 3, END_ID], [4, END_ID], [5, 6, END_ID]
X = IGNORED


def turns_of(num_turns: int, num_tokens: int) -> list[Turn]:
    return [[i + 1] * (num_tokens - 1) + [END_ID] for i in range(num_turns)]


def seeded_rows(form: Form, turns: list[Turn], num_seeds: int = 40) -> list[list[Row]]:
    return [list(form.rows(turns, random.Random(seed))) for seed in range(num_seeds)]


def test_of_a_dialogue_with_the_bot_every_second_turn_counts() -> None:
    [row] = BotTurns().rows([A, B, C, D], random.Random(0))
    assert row == Row([1, 0, 2, 3, 0, 4, 0, 5, 6, 0], [X, X, 2, 3, 0, X, X, 5, 6, 0])


def test_of_two_people_every_turn_but_the_first_counts() -> None:
    [row] = BothSides().measured([A, B, C])
    assert row == Row([1, 0, 2, 3, 0, 4, 0], [X, X, 2, 3, 0, 4, 0])


def test_a_row_is_cut_at_any_turn_and_no_turn_counts_twice() -> None:
    cuts = set()
    for rows in seeded_rows(BothSides(), [A, B, C, D]):
        cuts.add(len(rows))
        counted = [label for row in rows for label in row.labels if label != X]
        assert counted == [*B, *C, *D]
    assert cuts == {1, 2}


@pytest.mark.parametrize(("num_turns", "num_tokens"), [(20, 30), (9, 128), (5, 200)])
def test_rows_of_whole_turns_fit_the_window_and_overlap_by_one(
    num_turns: int, num_tokens: int
) -> None:
    turns = turns_of(num_turns, num_tokens)
    rows = list(BothSides().measured(turns))
    assert all(len(row.ids) == len(row.labels) <= WINDOW for row in rows)
    counted = [max(label for label in row.labels) for row in rows]
    assert counted[-1] == num_turns
    for before, after in pairwise(rows):
        assert after.ids[0] == max(before.ids)


def test_of_a_pair_too_long_what_was_said_is_shortened_at_its_start() -> None:
    [row] = BothSides().measured([[1, *[7] * 250, 8, END_ID], [*[9] * 99, END_ID]])
    assert len(row.ids) == WINDOW
    assert row.ids[-102:-99] == [8, END_ID, 9]
    assert row.ids[0] == 7
    assert row.labels[-100:] == [*[9] * 99, END_ID]


def test_a_reply_longer_than_the_window_is_learned_without_an_end() -> None:
    [row] = BothSides().measured([A, [9] * 400])
    assert row == Row([END_ID, *[9] * 255], [X, *[9] * 255])


def test_a_reverse_pair_is_the_reply_and_then_what_was_said() -> None:
    rows = list(Reversed(step=2).measured([A, B, C, D]))
    assert rows == [
        Row([2, 3, 0, 1, 0], [X, X, X, 1, 0]),
        Row([5, 6, 0, 4, 0], [X, X, X, 4, 0]),
    ]


def test_of_two_people_each_turn_is_a_reply_to_the_one_before() -> None:
    rows = list(Reversed(step=1).measured([A, B, C]))
    assert rows == [
        Row([2, 3, 0, 1, 0], [X, X, X, 1, 0]),
        Row([4, 0, 2, 3, 0], [X, X, 2, 3, 0]),
    ]


def test_a_reverse_row_goes_back_from_the_newest_reply() -> None:
    pairs = list(Reversed(step=2).measured([A, B, C, D]))
    whole = [Row([5, 6, 0, 4, 0, 2, 3, 0, 1, 0], [X, X, X, 4, 0, 2, 3, 0, 1, 0])]
    found = seeded_rows(Reversed(step=2), [A, B, C, D, A])
    assert {len(rows) for rows in found} == {1, 2}
    assert all(rows in (pairs, whole) for rows in found)


def test_most_reverse_rows_are_what_ranking_asks() -> None:
    found = [row for rows in seeded_rows(Reversed(step=1), turns_of(8, 10), 200) for row in rows]
    assert sum(len(row.ids) == 20 for row in found) > 0.9 * len(found)


@pytest.mark.parametrize("form", [BothSides(), Reversed(step=1), Reversed(step=2)])
def test_of_one_turn_nothing_is_learned(form: Form) -> None:
    assert not list(form.measured([A]))


def test_the_form_follows_from_the_direction_and_who_speaks() -> None:
    assert choose_form(is_reverse=False, has_two_people=False) == BotTurns()
    assert choose_form(is_reverse=False, has_two_people=True) == BothSides()
    assert choose_form(is_reverse=True, has_two_people=False) == Reversed(2)
    assert choose_form(is_reverse=True, has_two_people=True) == Reversed(1)
