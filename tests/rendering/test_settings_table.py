"""The settings in force as a table: what a person reads on Discord and in a terminal."""

from dataclasses import replace

import pytest

from bot.dialogue.sampling import BOUNDS, Defaults, Layer, Overrides, SamplingParams, resolve
from bot.rendering.columns import aligned, width
from bot.rendering.settings_table import settings_rows, written

DEFAULTS = SamplingParams()


def listed(params: SamplingParams, overrides: Overrides | None = None) -> dict[str, list[str]]:
    """Value and layer of each row, by the setting's name."""
    rows = settings_rows(resolve(Defaults(params), overrides or {}), "en-US")
    return {name: cells for name, *cells in rows}


def test_every_value_is_listed_with_the_layer_it_comes_from() -> None:
    overrides = {
        Layer.SERVER: {"top_k": 20, "temperature": 0.5},
        Layer.CHANNEL: {"temperature": 0.6, "min_p": 0.1},
        Layer.MEMBER: {"min_p": 0.2},
    }
    rows = listed(DEFAULTS, overrides)
    assert list(rows) == ["setting", *BOUNDS]
    assert rows["setting"] == ["value", "set for"]
    assert rows["top_k"] == ["20", "this server"]
    assert rows["temperature"] == ["0.6", "this channel"]
    assert rows["min_p"] == ["0.2", "you"]
    assert rows["max_new_tokens"] == ["64", "default"]


def test_a_default_names_the_kind_of_model_it_is_for_unless_the_owner_has_set_it() -> None:
    defaults = Defaults(DEFAULTS, "chat", frozenset({"top_k"}))
    rows = settings_rows(resolve(defaults, {Layer.MEMBER: {"min_p": 0.2}}), "en-US")
    origins = {name: origin for name, _, origin in rows[1:]}
    assert (origins.pop("top_k"), origins.pop("min_p")) == ("default", "you")
    assert set(origins.values()) == {"default (chat)"}


def test_a_value_that_switches_a_step_off_says_so() -> None:
    params = SamplingParams(
        top_k=0,
        top_p=1.0,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        no_repeat_own_ngram_size=0,
    )
    off = {name for name, (value, _) in listed(params).items() if value.endswith("(off)")}
    assert off == {
        "top_k",
        "top_p",
        "min_p",
        "repetition_penalty",
        "no_repeat_ngram_size",
        "no_repeat_own_ngram_size",
        "dry_multiplier",
    }


def test_no_seed_reads_as_a_new_one_each_time() -> None:
    assert listed(DEFAULTS)["seed"] == ["new each time", "default"]
    seeded = replace(DEFAULTS, seed=2**31 - 1)
    assert listed(seeded)["seed"] == ["2147483647", "default"]


@pytest.mark.parametrize("locale", ["en-US", "ko"])
def test_columns_stand_under_each_other(locale: str) -> None:
    table = aligned(settings_rows(resolve(Defaults(DEFAULTS), {}), locale)).splitlines()[1:]
    longest = max(map(width, BOUNDS))
    assert len({line[longest : longest + 2] for line in table}) == 1
    assert all(line[longest + 2] != " " for line in table)


def test_values_read_as_one_would_type_them() -> None:
    assert [written(value) for value in (0.5, 1.0, 0.05, 20, 2**31 - 1)] == [
        "0.5",
        "1",
        "0.05",
        "20",
        "2147483647",
    ]
