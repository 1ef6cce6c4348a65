"""The tables of the benchmarks, and the workloads behind them."""

import json
from pathlib import Path

import pytest

from benchmarks.serving.limits import Machine, least_seconds, most_tokens_per_second
from benchmarks.serving.report import Line, Measurement, percentile, summarise, write_json
from benchmarks.serving.shapes import SHAPES, ModelShape
from benchmarks.serving.workload import Ask, Range, Served, Sizes, draw_asks
from bot.dialogue.sampling import SamplingParams

MACHINE = Machine("processor", "cpu", 2, "2", "5", 10.0, {"float32": 1000.0})
SHAPE = ModelShape(num_layers=1, num_heads=1, width=2, window=64, num_ids=10)


def measured(system: str, seconds: float, *, repetition: int = 0, users: int = 1) -> Measurement:
    served = Served(num_tokens=11, first_token_seconds=1.0, seconds=seconds)
    return Measurement(system, "float32", users, repetition, seconds, 1.0, (served,))


def lines_by_system(*measurements: Measurement) -> dict[str, Line]:
    return {line.row.system: line for line in summarise(measurements)}


def test_a_ratio_compares_with_the_baseline_of_the_same_repetition() -> None:
    lines = lines_by_system(
        measured("reference", 10.0),
        measured("reference", 40.0, repetition=1),
        measured("banter", 5.0),
        measured("banter", 20.0, repetition=1),
    )
    assert lines["banter"].row.ratio == pytest.approx(2.0)
    assert lines["reference"].row.ratio == 1.0


def test_a_baseline_of_another_number_of_people_is_not_compared_with() -> None:
    lines = lines_by_system(measured("reference", 10.0), measured("banter", 5.0, users=8))
    assert lines["banter"].row.ratio is None


def test_the_pace_counts_the_tokens_after_the_first() -> None:
    assert measured("banter", 6.0).pace == pytest.approx(2.0)


def test_one_value_is_every_percentile_of_itself() -> None:
    assert percentile([3.0], 95) == 3.0
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0


def test_the_file_holds_the_machine_and_the_named_fields_of_each_row(tmp_path: Path) -> None:
    lines = summarise([measured("reference", 10.0), measured("banter", 5.0)])
    write_json(tmp_path / "rows.json", MACHINE, lines)
    content = json.loads((tmp_path / "rows.json").read_text())
    assert content["machine"]["read_bytes_per_second"] == 10.0
    assert [set(row) for row in content["rows"]] == 2 * [
        {"system", "dtype", "users", "tokens_per_second", "ratio", "p50_seconds", "p95_seconds",
         "first_token_p50_seconds", "limit_share"}
    ]  # fmt: skip


def test_a_limit_counts_the_prompt_the_weights_of_every_step_and_the_cache() -> None:
    ask = Ask((1, 2, 3), SamplingParams(max_new_tokens=8))
    # 48 weights in the matrices and 20 of the words; 4 numbers of a token in the cache
    prompt = 2 * 3 * 48 / 1000
    reading = 4 * (7 * 68 + (3 * 7 + 28) * 4) / 10
    assert least_seconds(SHAPE, "float32", [ask], MACHINE) == pytest.approx(prompt + reading)
    assert most_tokens_per_second(SHAPE, "float32", MACHINE) == pytest.approx(10 / (4 * 68))


def test_dialogpts_weights_are_those_that_are_published() -> None:
    sizes = {name: shape.num_step_weights / 1e6 for name, shape in SHAPES.items()}
    assert sizes["medium"] == pytest.approx(353.5, abs=0.1)
    assert sizes["small"] == pytest.approx(123.5, abs=0.1)


def test_a_workload_is_the_same_for_every_system_and_another_in_each_repetition() -> None:
    first, again, next_one = (draw_asks(8, Sizes(), 1024, 50257, seed) for seed in (0, 0, 1))
    assert first == again
    assert {ask.prompt_ids for ask in first}.isdisjoint(ask.prompt_ids for ask in next_one)


@pytest.mark.parametrize("num_users", [1, 16])
def test_prompts_and_replies_fit_the_window(num_users: int) -> None:
    for ask in draw_asks(num_users, Sizes(), 256, 2048, seed=0):
        assert len(ask.prompt_ids) + ask.params.max_new_tokens <= 256
        assert ask.prompt_ids[-1] == 2047
        assert 2047 not in ask.prompt_ids[:-1]


def test_a_range_is_read_from_two_numbers_or_one() -> None:
    assert Range.read("50-600") == Range(50, 600)
    assert Range.read("8") == Range(8, 8)
