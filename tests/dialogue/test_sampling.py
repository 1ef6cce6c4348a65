import math
from dataclasses import fields

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bot.dialogue.sampling import (
    BOUNDS,
    PRESETS,
    Defaults,
    Layer,
    Number,
    SamplingParams,
    check,
    resolve,
    seed_at,
)
from bot.errors import InvalidSettingError

names = st.sampled_from(sorted(BOUNDS))
SEEDS_OF_ONE = [1, 855711902, 670523772, 544401254]


@st.composite
def sound_items(draw: st.DrawFn) -> tuple[str, Number]:
    name: str = draw(names)
    bound = BOUNDS[name]
    if bound.kind is int:
        return name, draw(st.integers(int(bound.low), int(bound.high)))
    return name, draw(st.floats(float(bound.low), float(bound.high)))


overrides = st.dictionaries(
    st.sampled_from(Layer), st.lists(sound_items(), max_size=4).map(dict), max_size=4
)


def test_every_field_has_a_bound_and_every_bound_a_field() -> None:
    assert [field.name for field in fields(SamplingParams)] == list(BOUNDS)


def test_the_defaults_are_what_dialogpt_was_tuned_to() -> None:
    assert SamplingParams().values() == {
        "temperature": 0.8,
        "top_k": 50,
        "top_p": 0.9,
        "min_p": 0.0,
        "repetition_penalty": 1.1,
        "no_repeat_ngram_size": 3,
        "no_repeat_own_ngram_size": 4,
        "dry_multiplier": 0.0,
        "min_new_tokens": 2,
        "max_new_tokens": 64,
        "num_candidates": 1,
    }


@given(sound_items())
def test_a_value_within_its_bounds_is_taken(item: tuple[str, Number]) -> None:
    name, value = item
    assert getattr(SamplingParams(**{name: value}), name) == value  # type: ignore[arg-type]  # by name
    assert isinstance(check(name, value), BOUNDS[name].kind)


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_the_bounds_themselves_are_within(name: str) -> None:
    bound = BOUNDS[name]
    assert (check(name, bound.low), check(name, bound.high)) == (bound.low, bound.high)


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_a_step_beyond_a_bound_is_refused(name: str) -> None:
    bound = BOUNDS[name]
    for value in (bound.low - 0.001, bound.high + 0.001, bound.low - 1, bound.high + 1):
        with pytest.raises(InvalidSettingError):
            check(name, value)


@pytest.mark.parametrize(
    "forged", [math.nan, math.inf, -math.inf, True, False, "0.5", None, [], 10**400, -(10**400)]
)
@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_what_is_no_number_is_refused(name: str, forged: object) -> None:
    with pytest.raises(InvalidSettingError):
        check(name, forged)  # type: ignore[arg-type]  # forged interactions do not keep to types
    if forged is not None:  # None leaves a seed open
        with pytest.raises(InvalidSettingError):
            SamplingParams(**{name: forged})  # type: ignore[arg-type]  # the same


def test_half_a_token_is_refused() -> None:
    with pytest.raises(InvalidSettingError):
        check("top_k", 50.5)
    assert repr(check("top_k", 50.0)) == "50"


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidSettingError):
        check("length_penalty", 1)


def test_the_error_names_the_value_and_its_bounds() -> None:
    with pytest.raises(InvalidSettingError) as caught:
        check("temperature", 3)
    assert str(caught.value) == "`temperature` must be between 0.1 and 2.0; you gave 3."


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_within_the_bounds(preset: str) -> None:
    params = SamplingParams(**PRESETS[preset])  # type: ignore[arg-type]  # by name
    assert params.values().items() >= PRESETS[preset].items()


def test_presets_set_the_same_values_so_that_one_replaces_another() -> None:
    assert len({tuple(sorted(preset)) for preset in PRESETS.values()}) == 1


@given(st.lists(sound_items(), max_size=6).map(dict))
def test_warmer_is_freer_and_within_the_bounds(values: dict[str, Number]) -> None:
    params = SamplingParams(**{"top_k": 2, **values})  # type: ignore[arg-type]  # by name
    assume(params.has_chance)
    warmer = params.warmer()
    assert params.temperature <= warmer.temperature <= 2
    assert params.repetition_penalty <= warmer.repetition_penalty <= 2
    assert (warmer.seed is None) == (params.seed is None)
    assert warmer.seed is None or warmer.seed != params.seed
    assert warmer.top_k == 0 if params.top_k == 0 else warmer.top_k >= max(params.top_k, 20)


def test_what_leaves_nothing_to_chance_is_not_made_warmer() -> None:
    greedy = SamplingParams(**PRESETS["deterministic"], seed=3)  # type: ignore[arg-type]  # by name
    assert greedy.warmer() == greedy
    assert SamplingParams(top_k=2).warmer() != SamplingParams(top_k=2)
    chanceless = {name for name in PRESETS if PRESETS[name]["top_k"] == 1}
    assert chanceless == {"deterministic"}


def test_later_layers_win_and_say_where_a_value_comes_from() -> None:
    effective = resolve(
        Defaults(SamplingParams()),
        {
            Layer.MEMBER: {"temperature": 0.3},
            Layer.SERVER: {"temperature": 1.5, "top_k": 10},
            Layer.CHANNEL: {"top_k": 20},
        },
    )
    assert (effective.params.temperature, effective.params.top_k) == (0.3, 20)
    assert effective.layers["temperature"] is Layer.MEMBER
    assert effective.layers["top_k"] is Layer.CHANNEL
    assert effective.layers["top_p"] is Layer.DEFAULT
    assert set(effective.layers) == set(BOUNDS)


def test_a_stored_value_that_is_out_of_bounds_today_is_left_out() -> None:
    stored: dict[str, Number] = {"temperature": 9.0, "gone": 1, "top_k": 5}
    effective = resolve(Defaults(SamplingParams()), {Layer.SERVER: stored})
    assert effective.params == SamplingParams(top_k=5)
    assert effective.layers["temperature"] is Layer.DEFAULT


@given(overrides)
def test_every_value_is_that_of_the_layer_it_names(
    layers: dict[Layer, dict[str, Number]],
) -> None:
    defaults = SamplingParams()
    effective = resolve(Defaults(defaults), layers)
    for name, layer in effective.layers.items():
        named = layers.get(layer, {}).get(name, getattr(defaults, name))
        assert getattr(effective.params, name) == named
        later = list(Layer)[list(Layer).index(layer) + 1 :]
        assert not any(name in layers.get(above, {}) for above in later)


seeds = st.integers(0, 2**31 - 1)
num_before = st.integers(0, 5000)


@given(seeds, num_before)
def test_the_seed_of_a_reply_is_a_seed_and_gives_itself_at_its_place(seed: int, count: int) -> None:
    found = seed_at(seed, count)
    assert check("seed", found) == found
    assert seed_at(found, count) == found


@given(seeds)
def test_the_first_reply_has_the_seed_that_was_set(seed: int) -> None:
    assert seed_at(seed, 0) == seed


@pytest.mark.parametrize("seed", [0, 1, 2, 42, 2**31 - 1])
def test_no_two_replies_of_a_talk_have_one_seed(seed: int) -> None:
    assert len({seed_at(seed, count) for count in range(200)}) == 200


def test_two_seeds_make_two_talks() -> None:
    for count in range(1, 20):
        assert len({seed_at(seed, count) for seed in range(10)}) == 10


def test_a_seed_means_the_same_in_every_version() -> None:
    """An owner's SEED was chosen for the talks that it gives."""
    assert [seed_at(1, count) for count in range(4)] == SEEDS_OF_ONE
    seeded, open_one = SamplingParams(seed=1), SamplingParams()
    assert [seeded.after(count).seed for count in range(4)] == SEEDS_OF_ONE
    assert open_one.after(3) == open_one
