import json
from pathlib import Path

import pytest

from evaluation.__main__ import main

Capture = pytest.CaptureFixture[str]


def written(
    folder: Path, name: str, replies: list[str], said: str = "do you like big dogs"
) -> Path:
    path = folder / name
    rows = [{"prompt": f"{said} {i}", "completion": reply} for i, reply in enumerate(replies)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def verdicts(first: Path, second: Path) -> dict[str, str]:
    out = first.with_suffix(".json")
    options = ["--json", str(out), "--resamples", "100"]
    assert main(["compare", str(first), str(second), *options]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))["metrics"]
    return {name: one["second_is"] for name, one in found.items()}


def test_a_file_that_echoes_less_is_better_and_the_rest_is_told(
    tmp_path: Path, capsys: Capture
) -> None:
    echoing = written(tmp_path, "echoing.jsonl", ["do you like big dogs"] * 30)
    fresh = written(tmp_path, "fresh.jsonl", [f"word{i} is what I say" for i in range(30)])
    found = verdicts(echoing, fresh)
    assert found["echo"] == "better"
    assert found["distinct_2"] == "better"
    assert found["self_repetition"] == "undecided"
    assert found["length"] == "undecided"
    assert verdicts(fresh, echoing)["echo"] == "worse"
    shown = capsys.readouterr().out
    assert "30 pairs of replies, 100 paired bootstrap resamples" in shown
    assert "-100.00" in shown


def test_one_reply_of_thirty_does_not_decide(tmp_path: Path) -> None:
    replies = [f"word{i} is what I say" for i in range(30)]
    first = written(tmp_path, "first.jsonl", replies)
    second = written(tmp_path, "second.jsonl", ["do you like big dogs", *replies[1:]])
    assert verdicts(first, second)["echo"] == "undecided"


def test_files_of_other_turns_do_not_compare(tmp_path: Path, capsys: Capture) -> None:
    first = written(tmp_path, "first.jsonl", ["a", "b"])
    for second, sentence in (
        (written(tmp_path, "short.jsonl", ["a"]), "short.jsonl has only 1 replies"),
        (written(tmp_path, "other.jsonl", ["a", "b"], "and cats"), "Reply 1 answers “do you like"),
        (written(tmp_path, "none.jsonl", []), "none.jsonl has only 0 replies"),
    ):
        assert main(["compare", str(first), str(second)]) == 65
        assert sentence in capsys.readouterr().err
