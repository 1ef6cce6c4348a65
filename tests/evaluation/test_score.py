"""The program, and the five faults of a BLEU script that goes round: ours has none of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluation.__main__ import main
from evaluation.bleu import Bleu
from evaluation.item import Item
from evaluation.metric import Better, Facts, Statistic
from evaluation.suite import measure
from tests.evaluation.figures import figure

Capture = pytest.CaptureFixture[str]


def written(folder: Path, *rows: object) -> Path:
    path = folder / "replies.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def scored(path: Path, *options: str) -> dict[str, object]:
    out = path.with_suffix(".json")
    assert main(["score", str(path), "--json", str(out), "--resamples", "20", *options]) == 0
    found: dict[str, object] = json.loads(out.read_text(encoding="utf-8"))
    return found


def test_the_table_tells_where_the_figures_come_from(tmp_path: Path, capsys: Capture) -> None:
    run = {"model": "tiny", "revision": "abc", "seed": 3, "settings": {"top_k": 5}}
    path = written(tmp_path, {"run": run}, {"prompt": "hi", "completion": "hello you there"})
    scored(path)
    shown = capsys.readouterr().out
    assert "replies.jsonl: 1 replies in 1 dialogues, 0 empty, no references" in shown
    assert "model tiny · revision abc · seed 3 · settings top_k 5" in shown
    assert "Length" in shown
    assert "BLEU-4" not in shown


def test_the_figures_are_written_as_json(tmp_path: Path) -> None:
    found = scored(written(tmp_path, {"turns": ["hi", "hi there you", "oh", ""]}))
    assert (found["num_replies"], found["num_empty"], found["num_dialogues"]) == (2, 1, 1)
    metrics = found["metrics"]
    assert isinstance(metrics, dict)
    assert metrics["length"] == {"value": 1.5, "low": 1.5, "high": 1.5, "better": "neither"}
    assert metrics["echo"]["value"] == 0.5
    assert found["bootstrap"] == {"level": 0.95, "num_resamples": 20, "seed": 0}


def test_a_reply_of_text_is_enough(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "replies.txt"
    path.write_text("hello\n\nyou\n")
    assert main(["score", str(path)]) == 0
    assert "3 replies in 3 dialogues, 1 empty" in capsys.readouterr().out


def test_what_is_wrong_is_one_sentence(tmp_path: Path, capsys: Capture) -> None:
    assert main(["score", str(tmp_path / "absent")]) == 65
    assert capsys.readouterr().err.endswith("absent cannot be read: No such file or directory.\n")
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    assert main(["score", str(empty)]) == 65
    assert "holds no reply" in capsys.readouterr().err
    empty.write_text("hi\n")
    assert main(["score", str(empty), "--json", str(tmp_path)]) == 65
    assert "cannot be written" in capsys.readouterr().err


# The five faults ------------------------------------------------------------------------------


def test_fault_1_token_lists_are_refused_with_the_item_and_the_mend(
    tmp_path: Path, capsys: Capture
) -> None:
    good = {"prompt": "hi", "completion": "hello"}
    for bad in ({**good, "completion": ["hel", "lo"]}, {**good, "references": [["a", "b"]]}):
        assert main(["score", str(written(tmp_path, good, bad))]) == 65
        said = capsys.readouterr().err
        assert "line 2" in said
        assert 'A sentence is wanted, not its tokens: join them, "like this".' in said


def test_fault_2_the_prompt_is_not_scored() -> None:
    pytest.importorskip("sacrebleu", reason="the extra `evaluation` is not installed")
    with_prompt, without = (
        figure(Bleu(4, str.split), [Item("so do i , very much", history, ("so do i , very much",))])
        for history in ((("i like long prompts about cats",) * 3), ())
    )
    assert with_prompt == without == pytest.approx(1)


def test_fault_4_empty_predictions_count_as_zero_and_are_counted(tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu", reason="the extra `evaluation` is not installed")
    pytest.importorskip("nltk", reason="the extra `evaluation` is not installed")
    good = {"prompt": "hi", "completion": "a b c d e", "references": ["a b c d e"]}
    found = scored(written(tmp_path, good, {**good, "completion": " "}))
    metrics = found["metrics"]
    assert isinstance(metrics, dict)
    assert (found["num_replies"], found["num_empty"]) == (2, 1)
    assert metrics["length"]["value"] == 2.5
    assert metrics["empty"]["value"] == 0.5
    assert metrics["meteor_exact_stem"]["value"] < 0.51
    assert metrics["bleu_4"]["value"] == pytest.approx(0.3679, abs=1e-4)  # exp(1 - 10/5)


class Watched:
    """A metric that counts how often it is given a reply."""

    facts = Facts("watched", "Watched", Better.NEITHER)
    cost = 1

    def __init__(self) -> None:
        self.seen: list[Item] = []

    def add(self, item: Item) -> None:
        self.seen.append(item)

    def statistic(self) -> Statistic:
        return Statistic(lambda _: float(len(self.seen)))


def test_fault_5_every_reply_is_looked_at_once_and_nothing_is_printed_for_it(
    capsys: Capture,
) -> None:
    read = []

    def items() -> Iterator[Item]:
        for i in range(500):
            read.append(i)
            yield Item(f"reply {i}")

    metric = Watched()
    measure(items(), [metric])
    assert read == list(range(500))
    assert len(metric.seen) == 500
    assert capsys.readouterr() == ("", "")


def test_none_of_many_is_not_surely_none(tmp_path: Path) -> None:
    path = tmp_path / "replies.txt"
    path.write_text("hello you\n" * 300)
    found = scored(path)["metrics"]
    assert isinstance(found, dict)
    assert found["empty"] == {"value": 0, "low": 0, "high": 0.01, "better": "lower"}


def test_korean_references_are_not_silently_left_out(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("sacrebleu", reason="the extra `evaluation` is not installed")
    pytest.importorskip("nltk", reason="the extra `evaluation` is not installed")
    reply = "오늘은 날씨가 참 좋네요"
    path = written(tmp_path, {"prompt": "안녕", "completion": reply, "references": [reply]})
    for options, shown in ((), "add --cut intl"), (("--cut", "intl"), "BLEU-4  "):
        scored(path, *options)
        assert shown in capsys.readouterr().out
