"""Ways of decoding side by side: each answers the same dialogues, then a report compares them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.dialogue.sampling import PRESETS
from evaluation.__main__ import main
from evaluation.strategies import STRATEGIES

pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
pytest.importorskip("sacrebleu", reason="the extra `evaluation` is not installed")
pytest.importorskip("nltk", reason="the extra `evaluation` is not installed")
Capture = pytest.CaptureFixture[str]
DIALOGUES = (
    ["hello there", "hi", "how are you today?", "fine"],
    ["do you like music?", "yes, very much"],
)


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    path = tmp_path / "talk.jsonl"
    path.write_text("".join(f"{json.dumps({'turns': turns})}\n" for turns in DIALOGUES))
    return path


def chosen(*names: str) -> Iterator[str]:
    for name in names:
        yield from ("--only", name)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def said(path: Path) -> list[str]:
    return [row["completion"] for row in lines(path)[1:]]


def test_each_way_answers_and_a_report_compares_them(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    names = ("top-k 50", "greedy")
    program = ["strategies", str(tiny_model), str(dialogues), "--out", str(out), "--seed", "3"]
    assert main([*program, *chosen(*names)]) == 0
    files = [out / "top-k_50.jsonl", out / "greedy.jsonl"]
    assert sorted(out.glob("*.jsonl")) == sorted(files)
    for path, name in zip(files, names, strict=True):
        about, *rows = lines(path)
        assert (about["run"]["name"], about["run"]["seed"], len(rows)) == (name, 3, 3)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "Against top-k 50" in page
    assert "on talk.jsonl: ways of decoding" in page

    # interrupted in the second file: run again, it makes only what is missing, and the same
    made, whole = files[0].read_bytes(), said(files[1])
    files[1].write_bytes(b"".join(files[1].read_bytes().splitlines(keepends=True)[:2]))
    (out / "index.html").unlink()
    assert main([*program, *chosen(*names)]) == 0
    assert files[0].read_bytes() == made
    assert said(files[1]) == whole
    assert (out / "index.html").is_file()


def test_another_seed_into_the_same_folder_is_refused(
    tiny_model: Path, dialogues: Path, tmp_path: Path, capsys: Capture
) -> None:
    program = ["strategies", str(tiny_model), str(dialogues), "--out", str(tmp_path), "--limit=0"]
    # no dialogue, so nothing to report: what is refused first says whether it went on
    assert main([*program, *chosen("greedy")]) == 65
    assert "greedy.jsonl holds no reply" in capsys.readouterr().err
    assert main([*program, *chosen("greedy"), "--seed", "1"]) == 65
    assert "greedy.jsonl holds something else" in capsys.readouterr().err


def test_a_way_that_there_is_not_is_told_before_anything_is_made(
    tiny_model: Path, dialogues: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    program = ["strategies", str(tiny_model), str(dialogues), "--out", str(out)]
    assert main([*program, *chosen("greedy", "luck")]) == 65
    told = capsys.readouterr().err
    assert told.startswith("There is no strategy luck: choose of balanced; ")
    assert "with a reverse model" not in told
    assert not out.exists()


def test_a_reverse_model_is_one_way_more(
    tiny_model: Path, dialogues: Path, tmp_path: Path, capsys: Capture
) -> None:
    program = ["strategies", str(tiny_model), str(dialogues), "--out", str(tmp_path / "out")]
    assert main([*program, "--reverse-model", "/nowhere", *chosen("luck")]) == 65
    assert "8 candidates, MMI with a reverse model" in capsys.readouterr().err
    way = chosen("8 candidates, MMI with a reverse model")
    assert main([*program, "--reverse-model", "/nowhere", *way]) == 69
    assert "REVERSE_MODEL is /nowhere" in capsys.readouterr().err


def test_every_preset_is_compared() -> None:
    named = {
        words[words.index("--preset") + 1] for words in STRATEGIES.values() if "--preset" in words
    }
    assert named == set(PRESETS)
