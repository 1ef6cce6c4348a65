"""Drawing: the distribution is that of transformers, for every row by its own params."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    LogitsProcessor,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bot.dialogue.sampling import SamplingParams
from bot.engine.sampling.sampler import Choice, draw
from tests.engine.chances import chi_square, largest_chi_square

NUM_IDS = 60
ALMOST_ONE = 1 - 2**-53
OFF = SamplingParams(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
CHANGES: list[dict[str, float]] = [
    {},
    {"temperature": 0.1},
    {"temperature": 2.0},
    {"top_k": 1},
    {"top_k": 7},
    {"top_k": 200},
    {"top_p": 0.05},
    {"top_p": 0.9},
    {"min_p": 0.02},
    {"min_p": 0.5},
    {"temperature": 0.8, "top_k": 50, "top_p": 0.9},
    {"temperature": 1.4, "top_k": 20, "top_p": 0.95, "min_p": 0.05},
    {"temperature": 1.7, "top_p": 0.8, "min_p": 0.1},
]


def changed(changes: dict[str, float]) -> SamplingParams:
    values = {**OFF.values(), **changes}
    return SamplingParams(**values)  # type: ignore[arg-type]  # a test's keyword arguments


def some_logits(seed: int = 0, num_ids: int = NUM_IDS) -> Tensor:
    return torch.randn(1, num_ids, generator=torch.Generator().manual_seed(seed)) * 2


def theirs(logits: Tensor, params: SamplingParams) -> Tensor:
    """The probabilities (num_ids,) that `generate` draws from."""
    warpers: list[LogitsProcessor] = [TemperatureLogitsWarper(params.temperature)]
    if params.top_k:
        warpers.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        warpers.append(TopPLogitsWarper(params.top_p))
    if params.min_p:
        warpers.append(MinPLogitsWarper(params.min_p))
    scores = logits.clone()
    for warper in warpers:
        scores = warper(torch.empty(1, 0, dtype=torch.long), scores)
    return scores.softmax(-1)[0]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_every_step_leaves_the_distribution_of_transformers(changes: dict[str, float]) -> None:
    """Numbers that lie evenly in [0, 1) show the distribution as it is."""
    params, logits, num_draws = changed(changes), some_logits(), 4000
    choices = [Choice(params, (i + 0.5) / num_draws) for i in range(num_draws)]
    drawn = draw(logits.expand(num_draws, -1), choices)
    shares = torch.bincount(torch.tensor(drawn), minlength=NUM_IDS) / num_draws
    expected = theirs(logits, params)
    assert float((shares - expected).abs().max()) <= 1.01 / num_draws
    assert not (shares > 0)[expected == 0].any()


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_random_draws_pass_a_chi_square_test(changes: dict[str, float]) -> None:
    params, logits, num_draws = changed(changes), some_logits(3), 20_000
    rng = random.Random(11)
    drawn = draw(
        logits.expand(num_draws, -1), [Choice(params, rng.random()) for _ in range(num_draws)]
    )
    expected = (theirs(logits, params).double() * num_draws).tolist()
    counts = torch.bincount(torch.tensor(drawn), minlength=NUM_IDS).tolist()
    statistic, num_free = chi_square(counts, expected)
    assert statistic <= largest_chi_square(num_free)


def test_a_wrong_distribution_fails_the_chi_square_test() -> None:
    params, logits, num_draws = changed({"temperature": 1.1}), some_logits(3), 20_000
    rng = random.Random(11)
    drawn = draw(
        logits.expand(num_draws, -1), [Choice(params, rng.random()) for _ in range(num_draws)]
    )
    expected = (theirs(logits, OFF).double() * num_draws).tolist()
    counts = torch.bincount(torch.tensor(drawn), minlength=NUM_IDS).tolist()
    statistic, num_free = chi_square(counts, expected)
    assert statistic > largest_chi_square(num_free)


def test_every_row_is_drawn_by_its_own_params() -> None:
    rng = random.Random(4)
    choices = [Choice(changed(rng.choice(CHANGES)), rng.random()) for _ in range(300)]
    logits = torch.cat([some_logits(seed) for seed in range(300)])
    together = draw(logits, choices)
    alone = [draw(logits[i : i + 1], [choice])[0] for i, choice in enumerate(choices)]
    assert together == alone
    assert len(set(together)) > 20


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_the_least_number_draws_the_likeliest_and_the_largest_the_last(
    changes: dict[str, float],
) -> None:
    params, logits = changed(changes), some_logits(5)
    kept = theirs(logits, params)
    first, last = draw(logits.expand(2, -1), [Choice(params, 0.0), Choice(params, ALMOST_ONE)])
    assert first == int(kept.argmax())
    assert kept[last] > 0
    assert float(kept[kept < kept[last]].sum()) < 1e-9  # what is left is smaller than its share


def test_a_number_between_two_tokens_draws_the_second() -> None:
    choices = [Choice(OFF, number) for number in (0.0, 0.25, 0.5, 0.75)]
    assert draw(torch.zeros(4, 4), choices) == [0, 1, 2, 3]


def test_a_top_p_of_one_keeps_the_whole_tail_of_a_large_vocabulary() -> None:
    """Summed in float32, what stands before the last tokens comes to more than 1."""
    logits = torch.linspace(0, -1, 50_257)[None]
    (last,) = draw(logits, [Choice(OFF, ALMOST_ONE)])
    assert last == 50_256


def test_a_top_k_larger_than_the_vocabulary_keeps_all() -> None:
    logits = some_logits(num_ids=20)
    numbers = [(i + 0.5) / 500 for i in range(500)]
    all_of_them = draw(logits.expand(500, -1), [Choice(OFF, number) for number in numbers])
    params = changed({"top_k": 200})
    assert draw(logits.expand(500, -1), [Choice(params, n) for n in numbers]) == all_of_them


@settings(max_examples=150, deadline=None)
@given(
    number=st.floats(0, ALMOST_ONE),
    banned=st.sets(st.integers(0, NUM_IDS - 1), max_size=NUM_IDS - 1),
    changes=st.sampled_from(CHANGES),
    seed=st.integers(0, 50),
)
def test_what_a_rule_bans_is_never_drawn(
    number: float, banned: set[int], changes: dict[str, float], seed: int
) -> None:
    logits = some_logits(seed)
    logits[0, list(banned)] = -torch.inf
    (drawn,) = draw(logits, [Choice(changed(changes), number)])
    assert drawn not in banned
