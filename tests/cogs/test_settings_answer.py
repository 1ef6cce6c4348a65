from collections.abc import Mapping
from dataclasses import replace

import pytest

from bot.dialogue.sampling import BOUNDS, Layer, Number, Overrides, SamplingParams, resolve
from cogs._answers import Change, aligned, change_answer, settings_answer, written
from tests.cogs.commands_bot import MAX_CHARS

LONGEST: Mapping[str, Number] = {name: bound.high for name, bound in BOUNDS.items()}


def rows(answer: str) -> dict[str, list[str]]:
    """The table's lines, split at the columns, by the setting's name."""
    table = answer.split("```")[1].strip().splitlines()
    cells = [[cell for cell in line.split("  ") if cell.strip()] for line in table]
    return {line[0]: [cell.strip() for cell in line[1:]] for line in cells}


def test_every_value_is_listed_with_the_layer_it_comes_from() -> None:
    overrides = {
        Layer.SERVER: {"top_k": 20, "temperature": 0.5},
        Layer.CHANNEL: {"temperature": 0.6, "min_p": 0.1},
        Layer.MEMBER: {"min_p": 0.2},
    }
    listed = rows(settings_answer(resolve(SamplingParams(), overrides), "en-US", in_server=True))
    assert set(listed) == {"setting", *BOUNDS}
    assert listed["top_k"] == ["20", "this server"]
    assert listed["temperature"] == ["0.6", "this channel"]
    assert listed["min_p"] == ["0.2", "you"]
    assert listed["max_new_tokens"] == ["64", "default"]


def test_a_value_that_switches_a_step_off_says_so() -> None:
    params = SamplingParams(
        top_k=0,
        top_p=1.0,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        no_repeat_own_ngram_size=0,
    )
    listed = rows(settings_answer(resolve(params, {}), "en-US", in_server=True))
    off = {name for name, (value, _) in listed.items() if value.endswith("(off)")}
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
    without = settings_answer(resolve(SamplingParams(), {}), "en-US", in_server=True)
    assert rows(without)["seed"] == ["new each time", "default"]
    seeded = replace(SamplingParams(), seed=2**31 - 1)
    assert rows(settings_answer(resolve(seeded, {}), "en-US", in_server=True))["seed"] == [
        "2147483647",
        "default",
    ]


@pytest.mark.parametrize("locale", ["en-US", "ko"])
def test_columns_stand_under_each_other(locale: str) -> None:
    answer = settings_answer(resolve(SamplingParams(), {}), locale, in_server=True)
    table = answer.split("```")[1].strip().splitlines()[1:]
    width = max(map(len, BOUNDS))
    assert len({line[width : width + 2] for line in table}) == 1
    assert all(line[width + 2] != " " for line in table)


def test_a_korean_letter_takes_two_columns() -> None:
    lines = aligned([("설정", "값", "x"), ("top_k", "20", "기본값")]).splitlines()
    assert lines == ["설정   값  x", "top_k  20  기본값"]


@pytest.mark.parametrize("locale", ["en-US", "ko"])
@pytest.mark.parametrize("in_server", [True, False])
def test_the_longest_answers_fit_a_message(locale: str, in_server: bool) -> None:
    overrides = dict.fromkeys(Layer, LONGEST)
    effective = resolve(SamplingParams(), overrides)
    assert len(settings_answer(effective, locale, in_server=in_server)) <= MAX_CHARS
    for layer in (Layer.SERVER, Layer.CHANNEL, Layer.MEMBER):
        change = Change(layer, LONGEST, cleared=True, in_server=in_server)
        assert len(change_answer(change, effective, locale)) <= MAX_CHARS


def test_a_direct_message_does_not_speak_of_channels() -> None:
    answer = settings_answer(resolve(SamplingParams(), {}), "en-US", in_server=False)
    assert "channel" not in answer
    assert "apply_to" not in answer


def test_a_change_names_what_was_set_and_for_whom() -> None:
    effective = resolve(SamplingParams(), {Layer.MEMBER: {"temperature": 0.5, "top_k": 20}})
    change = Change(Layer.MEMBER, {"temperature": 0.5, "top_k": 20}, cleared=False, in_server=True)
    first, *rest = change_answer(change, effective, "en-US").splitlines()
    assert first == "Set for you in this server: `temperature` 0.5, `top_k` 20."
    assert not any("⚠️" in line for line in rest)


def test_a_change_that_a_stronger_layer_hides_is_told_with_the_value_in_force() -> None:
    overrides: Overrides = {
        Layer.SERVER: {"temperature": 0.5, "top_k": 20, "min_p": 0.1},
        Layer.CHANNEL: {"top_k": 30},
        Layer.MEMBER: {"temperature": 0.9},
    }
    change = Change(Layer.SERVER, overrides[Layer.SERVER], cleared=False, in_server=True)
    answer = change_answer(change, resolve(SamplingParams(), overrides), "en-US")
    warnings = [line for line in answer.splitlines() if line.startswith("⚠️")]
    assert len(warnings) == 2
    assert "`top_k` 30" in warnings[0]
    assert "channel" in warnings[0]
    assert "`temperature` 0.9" in warnings[1]
    assert "your own" in warnings[1]


def test_values_read_as_one_would_type_them() -> None:
    assert [written(value) for value in (0.5, 1.0, 0.05, 20, 2**31 - 1)] == [
        "0.5",
        "1",
        "0.05",
        "20",
        "2147483647",
    ]
