"""The benchmarks run and see what they should, on models that take no time."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import conversation, engine, letters, parity
from benchmarks.serving.shapes import ModelShape, make_model
from benchmarks.serving.workload import Range
from bot.engine.batching.loader import load_gpt2
from bot.engine.reference.loader import load_model

TINY = ModelShape(num_layers=1, num_heads=2, width=16, window=128, num_ids=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny", TINY, spread=0.3)


def test_an_engine_is_measured_beside_the_baseline(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.serving.limits.SECONDS", 0.01)
    rows = tmp_path / "rows.json"
    arguments = ["--shape", str(folder), "--users", "1,2", "--repeats", "1", "--threads", "1"]
    arguments += ["--systems", "reference,banter", "--dtype", "float32", "--one-process"]
    arguments += ["--prompt-tokens", "4-8", "--reply-tokens", "8", "--json", str(rows)]
    assert engine.main(arguments) == 0
    written = json.loads(rows.read_text())["rows"]
    assert [(row["system"], row["users"]) for row in written] == [
        ("reference", 1), ("banter", 1), ("reference", 2), ("banter", 2)
    ]  # fmt: skip
    assert all(row["tokens_per_second"] > 0 and row["ratio"] > 0 for row in written)
    assert "of limit" in capsys.readouterr().out


def test_nothing_broken_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert letters.main(["--replies", "8", "--random", "4", "--shape", "embedded"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(" 0 shown broken") == 2


def test_an_unknown_system_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        engine.main(["--systems", "magic"])
    assert "magic" in capsys.readouterr().err


def test_a_model_that_is_changed_is_seen_by_the_comparison_of_logits(folder: Path) -> None:
    oracle = load_model(folder, "cpu", "float32").network
    loaded = load_gpt2(folder, "cpu", "float32")
    assert parity.logits_error(loaded, oracle, TINY.window) < parity.MAX_ERROR
    with torch.no_grad():
        oracle.transformer.h[0].mlp.c_fc.weight.mul_(1.01)
    assert parity.logits_error(loaded, oracle, TINY.window) > parity.MAX_ERROR


def test_tokens_that_are_read_are_counted(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    arguments = ["--dialogues", "2", "--replies", "3", "--budgets", "256/8", "--repeats", "1"]
    arguments += ["--shape", str(folder), "--prompt-tokens", "40", "--said-tokens", "4"]
    conversation.main([*arguments, "--threads", "1"])
    assert "2 dialogues of 3 replies" in capsys.readouterr().out


def test_a_range_never_goes_beyond_its_limit() -> None:
    assert Range(50, 600).at_most(100) == Range(50, 100)
    assert Range(50, 600).at_most(20) == Range(20, 20)


def test_a_step_is_shown_from_inside(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "step.json"
    arguments = ["--shape", str(folder), "--users", "3", "--dtype", "float32", "--threads", "1"]
    assert engine.main([*arguments, "--device", "cpu", "--profile", str(picture)]) == 0
    assert "a step of 3 tokens" in capsys.readouterr().out
    names = {event.get("name") for event in json.loads(picture.read_text())["traceEvents"]}
    assert "aten::topk" in names


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("program", [engine.main, parity.main], ids=["engine", "parity"])
def test_a_device_that_is_not_there_is_told_in_a_sentence(
    program: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        program(["--device", "cuda"])
    assert "torch sees no CUDA device here" in capsys.readouterr().err
