"""The benchmark of fairness runs, and its figures belong together."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fairness
from benchmarks.fairness import Fairness
from benchmarks.serving.crowd import (
    FLOODER_ID,
    MEMBERS_SERVER,
    OTHER_SERVER,
    Crowd,
    Requests,
    Round,
    draw_requests,
    serve_round,
)
from benchmarks.serving.shapes import ModelShape, make_model
from benchmarks.serving.workload import Served
from bot.engine.batching.loader import load_gpt2
from bot.engine.checks import EngineLimits
from bot.engine.scheduler import Job
from tests.engine.running import open_local

TINY = ModelShape(num_layers=1, num_heads=2, width=16, window=64, num_ids=300)
CROWD = Crowd(num_members=3, num_flooding=6, num_prompt_tokens=5, num_new_tokens=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny", TINY)


def round_of(*seconds: float) -> Round:
    return Round(tuple(Served(8, 0.1, one) for one in seconds), (Served(8, 0.1, 9.0),))


def measured(folder: Path, path: Path, *more: str) -> tuple[int, Any]:
    arguments = ["--shape", str(folder), "--members", "3", "--flood", "18", "--threads", "1"]
    arguments += ["--prompt-tokens", "5", "--new-tokens", "8", "--repeats", "2"]
    code = fairness.main([*arguments, "--device", "cpu", "--json", str(path), *more])
    return code, json.loads(path.read_text())


def test_the_verdict_follows_from_what_was_measured(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, content = measured(folder, tmp_path / "figures.json")
    without, beside = (content["repetitions"][arm] for arm in ("without", "beside"))
    last = [
        max(one["seconds"] for one in with_flood["members"])
        / max(one["seconds"] for one in alone["members"])
        for alone, with_flood in zip(without, beside, strict=True)
    ]
    assert content["last_ratio"] == pytest.approx(statistics.median(last))
    assert code == int(content["last_ratio"] > 2.0) == int(not content["is_met"])
    printed = capsys.readouterr().out
    assert f"{content['last_ratio']:.2f}" in printed
    assert ("MISSED" in printed) is (code == 1)


def test_everybody_is_answered_at_full_length(folder: Path, tmp_path: Path) -> None:
    _, content = measured(folder, tmp_path / "figures.json", "--servers", "apart")
    spreads = content["spreads"].values()
    assert [spread["num_replies"] for spread in spreads] == [6, 6, 36]
    assert {(spread["least_tokens"], spread["most_tokens"]) for spread in spreads} == {(8, 8)}
    assert all(
        0 < spread["p50_seconds"] <= spread["p95_seconds"] <= spread["max_seconds"]
        for spread in spreads
    )
    assert content["setting"]["crowd"]["flood_server"] == OTHER_SERVER


async def test_the_members_come_when_each_request_of_the_flood_runs_or_waits_in_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_local(load_gpt2(folder, "cpu", "float32"), EngineLimits(num_rows=2))
    worker, come = opened.engine._worker, list[tuple[int, int]]()
    submit = worker.submit

    def note(job: Job) -> None:
        come.append((job.request.user_id, len(worker._arrived)))
        submit(job)

    monkeypatch.setattr(worker, "submit", note)
    made = await serve_round(opened.engine, draw_requests(CROWD, TINY, 0))
    assert (len(made.members), len(made.flood)) == (3, 6)
    assert [user_id for user_id, _ in come] == [*[FLOODER_ID] * 6, 1, 2, 3]
    first_member = come[6]
    assert first_member == (1, 0)  # the engine had seen all that came before
    await opened.engine.close()


def test_the_same_seed_asks_the_same_and_only_the_flooder_may_be_elsewhere() -> None:
    here, there = (
        draw_requests(Crowd(3, 6, 5, 8, server), TINY, 4)
        for server in (MEMBERS_SERVER, OTHER_SERVER)
    )
    assert [one.prompt_ids for one in here.flood] == [one.prompt_ids for one in there.flood]
    assert here.without_flood == Requests(here.members)
    assert {one.user_id for one in here.flood}.isdisjoint(one.user_id for one in here.members)
    assert {one.group_key for one in there.flood} == {OTHER_SERVER}
    assert {one.group_key for one in (*there.members, *here.flood)} == {MEMBERS_SERVER}


def test_ratios_compare_the_rounds_of_one_repetition() -> None:
    found = Fairness(
        (round_of(1.0, 1.0, 4.0), round_of(2.0, 2.0, 8.0)),
        (round_of(2.0, 2.0, 6.0), round_of(2.0, 2.0, 32.0)),
    )
    assert (found.median_ratios, found.last_ratios) == ([2.0, 1.0], [1.5, 4.0])
    assert not found.is_met


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["--new-tokens", "7"], "--new-tokens"),
        (["--members", "0"], "--members"),
        (["--prompt-tokens", "250"], "256 tokens"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    arguments: list[str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        fairness.main(arguments)
    assert wrong in capsys.readouterr().err
