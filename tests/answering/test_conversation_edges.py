"""Both sides of the edges at which a conversation goes on, is cut, or is begun anew."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.dialogue.context import ContextBudget
from bot.dialogue.reply import tidy
from bot.dialogue.sampling import BOUNDS, SamplingParams, check
from bot.errors import InvalidSettingError
from bot.store.database.database import Database
from tests.rooms import NOW, Rooms, said, settled


@pytest.mark.parametrize(("seconds", "goes_on"), [(3599, True), (3600, False)])
async def test_a_conversation_goes_on_within_the_hour(
    database: Database, seconds: int, goes_on: bool
) -> None:
    rooms = Rooms(database, idle=timedelta(minutes=60))
    await rooms.delivery.start(rooms.courier)
    rooms.delivery.accept(said("one", 1))
    await rooms.courier.wait_for(1)
    later = NOW + timedelta(seconds=seconds)
    rooms.delivery.accept(said("two", 2, created_at=later))
    await rooms.courier.wait_for(2)
    await settled(rooms)
    second = await rooms.history.turn_of_message(2)
    assert second is not None
    assert (second.parent_id is not None) is goes_on


@pytest.mark.parametrize(
    ("num_tokens", "num_turns", "cut"),
    [
        *((3, 3, (2, 3)), (256, 16, (170, 10)), (299, 4, (199, 3)), (300, 5, (200, 3))),
        *((2, 6, (1, 4)), (1, 2, (1, 2))),
    ],
)
def test_a_context_is_cut_to_two_thirds(
    num_tokens: int, num_turns: int, cut: tuple[int, int]
) -> None:
    assert ContextBudget(num_tokens, num_turns).cut() == ContextBudget(*cut)


@pytest.mark.parametrize(
    ("limits", "shorter"), [((256, 16), (128, 3)), ((255, 3), (127, 3)), ((1, 2), (1, 2))]
)
def test_the_last_try_has_half_of_the_tokens_and_one_exchange(
    limits: tuple[int, int], shorter: tuple[int, int]
) -> None:
    assert ContextBudget(*limits).shorter() == ContextBudget(*shorter)


# What an owner's database may hold: a range that shrinks would refuse what is stored.
RANGES = {
    "temperature": (0.1, 2.0),
    "top_k": (0, 200),
    "top_p": (0.05, 1.0),
    "min_p": (0.0, 0.5),
    "repetition_penalty": (1.0, 2.0),
    "no_repeat_ngram_size": (0, 10),
    "no_repeat_own_ngram_size": (0, 10),
    "dry_multiplier": (0.0, 5.0),
    "min_new_tokens": (1, 16),
    "max_new_tokens": (8, 256),
    "num_candidates": (1, 16),
    "seed": (0, 2_147_483_647),
}


@pytest.mark.parametrize("name", RANGES)
def test_a_sampling_value_has_its_range(name: str) -> None:
    low, high = RANGES[name]
    step = 1 if BOUNDS[name].kind is int else 0.001
    assert (check(name, low), check(name, high)) == (low, high)
    for outside in (low - step, high + step):
        with pytest.raises(InvalidSettingError):
            check(name, outside)


def test_every_range_is_known() -> None:
    assert set(BOUNDS) == set(RANGES)


def test_another_try_is_warmer_by_so_much() -> None:
    plain = SamplingParams(temperature=0.75, top_k=19, repetition_penalty=1.25, seed=4)
    warmer = plain.warmer()
    assert (warmer.temperature, warmer.top_k, warmer.seed) == (1.05, 20, 5)
    assert warmer.repetition_penalty == 1.35
    assert replace(plain, top_k=21).warmer().top_k == 21
    assert replace(plain, temperature=1.75).warmer().temperature == 2.0


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("One two. three fou", "One two. three…"),  # 8 of 18: less than half
        ("One two. three fo", "One two. three…"),  # 8 of 17
        ("One two. three f", "One two."),  # 8 of 16: half
    ],
)
def test_a_reply_that_was_cut_off_ends_at_a_sentence_where_half_is_kept(
    text: str, tidied: str
) -> None:
    assert tidy(text, cut_off=True) == tidied


@pytest.mark.parametrize(
    ("text", "tidied"),
    [("abcde fghij", "abcde fghij…"), ("abcdef ghijk", "abcdef…")],  # 5 of 11, 6 of 12
)
def test_a_reply_that_was_cut_off_loses_its_last_word_where_half_is_kept(
    text: str, tidied: str
) -> None:
    assert tidy(text, cut_off=True) == tidied
