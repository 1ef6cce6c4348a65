"""Kept sequences: which prefix is found, what it holds, and what is thrown away."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.batching.kv_cache import CacheShape, KvSequence, PrefixCache, shared_length

SHAPE = CacheShape(
    num_layers=2, num_heads=2, head_width=4, dtype=torch.float32, device=torch.device("cpu")
)
SIZE = SHAPE.num_bytes(32)  # of the smallest sequence


def filled(ids: list[int] | range, capacity: int = 0) -> KvSequence:
    """A sequence whose keys and values are the token ids themselves."""
    sequence = KvSequence(SHAPE, capacity or len(ids))
    read(sequence, list(ids))
    return sequence


def read(sequence: KvSequence, ids: list[int]) -> None:
    """What the network does with `ids`: append them."""
    start, end = sequence.length, sequence.length + len(ids)
    assert end <= sequence.capacity
    sequence.keys[:, :, start:end] = torch.tensor(ids).float()[None, None, :, None]
    sequence.values[:, :, start:end] = -torch.tensor(ids).float()[None, None, :, None]
    sequence.length = end


def held(sequence: KvSequence) -> list[int]:
    ids = sequence.keys[0, 0, : sequence.length, 0]
    for place, token_id in enumerate(ids):
        assert (sequence.keys[:, :, place] == token_id).all()
        assert (sequence.values[:, :, place] == -token_id).all()
    return [int(token_id) for token_id in ids]


def assert_accounts_agree(cache: PrefixCache) -> None:
    sizes = [resident.sequence.num_bytes for resident in cache._residents.values()]
    assert cache.num_bytes == sum(sizes) <= cache.max_bytes


def test_the_bytes_told_are_those_of_the_tensors() -> None:
    sequence = KvSequence(SHAPE, 33)
    assert sequence.capacity == 64
    assert sequence.num_bytes == sequence.keys.nbytes + sequence.values.nbytes
    assert sequence.num_bytes == SHAPE.num_bytes(33) == SHAPE.num_bytes(64)
    assert SHAPE.token_bytes == 2 * 2 * 2 * 4 * 4


def test_a_next_turn_goes_on_in_its_own_sequence() -> None:
    cache = PrefixCache(10 * SIZE)
    own = filled(range(20), 60)
    cache.put("a", range(20), own)
    taken = cache.take("a", [*range(20), 7, 8, 9], SHAPE, 40)
    assert taken is own
    assert (held(taken), len(cache), cache.num_bytes) == (list(range(20)), 0, 0)


def test_a_sequence_that_is_too_short_for_the_next_turn_is_copied() -> None:
    cache = PrefixCache(10 * SIZE)
    cache.put("a", range(20), filled(range(20)))
    taken = cache.take("a", [*range(20), 7, 8, 9], SHAPE, 100)
    assert (held(taken), taken.capacity, cache.num_bytes) == (list(range(20)), 128, 0)


def test_a_dialogue_that_took_another_turn_goes_on_from_where_it_parted() -> None:
    cache = PrefixCache(10 * SIZE)
    cache.put("a", range(20), filled(range(20)))
    assert held(cache.take("a", [*range(12), 99, 98], SHAPE, 30)) == list(range(12))


def test_a_branch_copies_and_leaves_the_other_dialogue_alone() -> None:
    cache = PrefixCache(10 * SIZE)
    cache.put("a", range(20), filled(range(20)))
    taken = cache.take("b", [*range(15), 99], SHAPE, 30)
    read(taken, [99])
    assert held(taken) == [*range(15), 99]
    assert held(cache.take("a", range(21), SHAPE, 30)) == list(range(20))


def test_the_longest_prefix_is_found_whoever_holds_it() -> None:
    cache = PrefixCache(10 * SIZE)
    for key, length in (("a", 9), ("b", 14), ("own", 11)):
        cache.put(key, range(length), filled(range(length)))
    assert held(cache.take("own", range(30), SHAPE, 32)) == list(range(14))
    assert len(cache) == 3


def test_at_a_tie_a_dialogue_takes_its_own() -> None:
    cache = PrefixCache(10 * SIZE)
    for key in ("a", "own", "b"):
        cache.put(key, range(14), filled(range(14)))
    cache.take("own", range(30), SHAPE, 32)
    assert len(cache) == 2


def test_the_last_token_is_always_left_to_be_run() -> None:
    cache = PrefixCache(10 * SIZE)
    cache.put("a", range(20), filled(range(20)))
    assert held(cache.take("b", range(20), SHAPE, 32)) == list(range(19))
    assert held(cache.take("a", range(12), SHAPE, 32)) == list(range(11))


@pytest.mark.parametrize("shared", [0, 1, 7])
def test_a_few_equal_tokens_are_not_worth_a_copy(shared: int) -> None:
    cache = PrefixCache(10 * SIZE)
    cache.put("a", range(20), filled(range(20)))
    assert cache.take("b", [*range(shared), 99, 98], SHAPE, 32).length == 0
    assert cache.take("a", [*range(shared), 99, 98], SHAPE, 32).length == 0


def test_only_what_was_read_counts_as_known() -> None:
    cache = PrefixCache(10 * SIZE)
    cache.put("a", range(30), filled(range(10), 32))  # stopped in the middle of its prompt
    assert held(cache.take("b", range(30), SHAPE, 32)) == list(range(10))


def test_the_least_used_goes_first() -> None:
    cache = PrefixCache(3 * SIZE)
    for key in "abc":
        cache.put(key, range(ord(key), ord(key) + 20), filled(range(ord(key), ord(key) + 20)))
    cache.take("x", [*range(ord("a"), ord("a") + 20), 0], SHAPE, 32)  # uses a
    cache.put("d", range(20), filled(range(20)))
    assert list(cache._residents) == ["c", "a", "d"]
    assert_accounts_agree(cache)


def test_what_does_not_fit_the_budget_is_not_kept() -> None:
    cache = PrefixCache(2 * SIZE)
    cache.put("a", range(20), filled(range(20)))
    cache.put("b", range(90), filled(range(90)))
    assert list(cache._residents) == ["a"]
    cache.put("a", range(90), filled(range(90)))  # its older state is of no use any more
    assert (len(cache), cache.num_bytes) == (0, 0)
    PrefixCache(0).put("a", range(20), filled(range(20)))


def test_a_request_of_no_dialogue_is_not_kept() -> None:
    cache = PrefixCache(2 * SIZE)
    cache.put("", range(20), filled(range(20)))
    assert len(cache) == 0


@pytest.mark.parametrize("max_bytes", [0, -5])
def test_a_cache_can_be_emptied(max_bytes: int) -> None:
    cache = PrefixCache(9 * SIZE)
    cache.put("a", range(20), filled(range(20)))
    cache.shrink(max_bytes)
    assert (len(cache), cache.num_bytes) == (0, 0)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_number_that_is_not_finite_is_found_where_tokens_are(value: float) -> None:
    sequence = filled(range(10))
    sequence.values[1, 1, 10:] = value  # empty room
    assert sequence.is_sound
    sequence.values[1, 1, 9, 3] = value
    assert not sequence.is_sound


def test_what_is_taken_holds_exactly_the_tokens_asked_for() -> None:
    """Random dialogues that grow, part, come back and are forgotten, in a small budget."""
    rng = random.Random(0)
    cache = PrefixCache(12 * SIZE)
    said: dict[str, list[int]] = {key: [] for key in "abcdef"}
    num_reused = 0
    for _ in range(800):
        key = rng.choice("abcdef")
        if rng.random() < 0.2:
            source = said[rng.choice("abcdef")]
            said[key] = source[: rng.randint(0, len(source))]
        ids = [*said[key], *rng.choices(range(9), k=rng.randint(1, 20))][-120:]
        sequence = cache.take(key, ids, SHAPE, len(ids) + 8)
        num_reused += sequence.length > 0
        assert sequence.length < len(ids)
        assert sequence.capacity >= len(ids) + 8
        assert held(sequence) == ids[: sequence.length]
        read(sequence, ids[sequence.length : rng.randint(sequence.length, len(ids))])
        if rng.random() < 0.9:
            cache.put(key, ids, sequence)
        said[key] = ids
        assert_accounts_agree(cache)
    assert num_reused > 200


@settings(deadline=None)
@given(st.lists(st.integers(0, 1), max_size=12), st.lists(st.integers(0, 1), max_size=12))
def test_the_shared_length_is_that_of_slow_obvious_code(ids: list[int], others: list[int]) -> None:
    expected = 0
    while ids[: expected + 1] == others[: expected + 1] and expected < min(len(ids), len(others)):
        expected += 1
    assert shared_length(tuple(ids), tuple(others)) == expected
