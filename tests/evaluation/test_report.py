import json
from pathlib import Path

import pytest

from evaluation.__main__ import main
from evaluation.people import people_items

pytest.importorskip("matplotlib", reason="the extra `plots` is not installed")
pytest.importorskip("sacrebleu", reason="the extra `evaluation` is not installed")
pytest.importorskip("nltk", reason="the extra `evaluation` is not installed")
Capture = pytest.CaptureFixture[str]
PNG = b"\x89PNG\r\n"


def written(folder: Path, name: str, reply: str, *, said: str = "do you like") -> Path:
    path = folder / f"{name}.jsonl"
    about: object = {"run": {"name": name, "model": "tiny", "seed": 1, "settings": {"top_k": 5}}}
    rows = [
        {
            "dialogue": i // 2,
            "prompt": [f"{said} {i}"],
            "completion": f"{reply} {i}",
            "references": [f"yes I do like {i}"],
            "fallback": i == 0,
        }
        for i in range(6)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in (about, *rows)), encoding="utf-8")
    return path


def reported(out: Path, *files: Path) -> str:
    assert main(["report", *map(str, files), "--out", str(out), "--resamples", "20"]) == 0
    return (out / "index.html").read_text(encoding="utf-8")


def test_a_page_shows_the_runs_side_by_side_with_people_and_pictures(tmp_path: Path) -> None:
    files = [written(tmp_path, "plain", "do you like"), written(tmp_path, "better", "I love a")]
    page = reported(tmp_path / "out", *files)
    for part in ("Against plain", "people here", "DialoGPT 345M, MMI", "Echo (%)", "top_k"):
        assert part in page
    assert '<span class="better">' in page
    assert "prefers-color-scheme: dark" in page
    pictures = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert {"echo-light.png", "echo-dark.png", "bleu_4-light.png"} <= set(pictures)
    assert (tmp_path / "out" / "echo-dark.png").read_bytes().startswith(PNG)
    assert page.count("data:image/png;base64,") == len(pictures)


def test_runs_of_other_dialogues_are_not_compared_and_what_was_said_is_escaped(
    tmp_path: Path,
) -> None:
    sly = written(tmp_path, "sly", "<script>alert(1)</script>")
    page = reported(tmp_path / "out", sly, written(tmp_path, "two", "b", said="have you seen"))
    assert "Against sly" not in page
    assert page.count("two") >= 2
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_two_runs_need_two_names(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, "one", "a")
    assert main(["report", str(path), str(path), "--out", str(tmp_path / "out")]) == 65
    assert "Two runs are called one" in capsys.readouterr().err


def test_people_are_the_references_after_what_people_said(tmp_path: Path) -> None:
    items = list(people_items(written(tmp_path, "one", "a")))
    assert [item.completion for item in items[:2]] == ["yes I do like 0", "yes I do like 1"]
    assert items[1].history == ("do you like 0", "yes I do like 0", "do you like 1")
    assert items[2].history == ("do you like 2",)
