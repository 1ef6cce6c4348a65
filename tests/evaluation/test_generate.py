import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.dialogue.context import ContextBudget
from bot.dialogue.profiles import CHAT
from bot.dialogue.profiles import EMBEDDED as VOICE
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Role, Turn
from bot.engine.checkpoints.checkpoint import EMBEDDED
from evaluation.__main__ import main
from evaluation.errors import InputError
from evaluation.generate import Memory, Plan, answer_dialogue, exchanges_of, parse_params
from evaluation.output import Output
from evaluation.reading import read_items
from evaluation.voices import LIMITS, Spoken, limits_for, remembered
from tests.tiny_models import make_tiny_gpt2

Capture = pytest.CaptureFixture[str]
DIALOGUES = (
    ["__SILENCE__", "hi", "how are you today?", "fine", "good", "yes"],
    ["what is your name?", "it is not important", "do you like music?"],
    ["good night", "see you"],
)


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    path = tmp_path / "dialogues.jsonl"
    path.write_text("".join(f"{json.dumps({'turns': turns})}\n" for turns in DIALOGUES))
    return path


def generated(model: Path | str, dialogues: Path, out: Path, *options: str) -> list[dict[str, Any]]:
    settings = ["--set", "max_new_tokens=8", "--device", "cpu", "--dtype", "float32"]
    program = ["generate", str(model), str(dialogues), "--out", str(out)]
    assert main([*program, *settings, *options]) == 0
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def texts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["completion"] for row in rows[1:]]


def test_every_turn_of_a_member_that_was_answered_gets_a_reply(
    tiny_model: Path, dialogues: Path, tmp_path: Path, capsys: Capture
) -> None:
    about, *rows = generated(tiny_model, dialogues, tmp_path / "out.jsonl", "--name", "tiny")
    assert [(row["dialogue"], row["exchange"]) for row in rows] == [(0, 0), (0, 1), (1, 0), (2, 0)]
    assert [row["prompt"][-1] for row in rows] == [
        "how are you today?",
        "good",
        "what is your name?",
        "good night",
    ]
    assert rows[0]["references"] == ["fine"]
    assert about["run"]["name"] == "tiny"
    assert about["run"]["revision"].startswith("sha256:")
    assert about["run"]["settings"]["max_new_tokens"] == 8
    assert about["run"]["guards"] == "on"
    assert "out.jsonl: 4 replies in 3 dialogues" in capsys.readouterr().out


def test_a_run_goes_on_where_it_was_interrupted_and_gives_the_same(
    tiny_model: Path, dialogues: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    whole = generated(tiny_model, dialogues, out, "--guards", "off", "--seed", "4")
    lines = out.read_bytes().splitlines(keepends=True)
    # in the middle of the first dialogue, and of a line
    out.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    again = generated(tiny_model, dialogues, out, "--guards", "off", "--seed", "4")
    assert texts(again) == texts(whole)
    assert [row["seed"] for row in again[1:]] == [row["seed"] for row in whole[1:]]
    other = generated(
        tiny_model, dialogues, tmp_path / "other.jsonl", "--guards", "off", "--seed", "5"
    )
    assert texts(other) != texts(whole)


def test_a_file_of_another_run_is_left_alone(
    tiny_model: Path, dialogues: Path, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out.jsonl"
    generated(tiny_model, dialogues, out, "--limit", "1")
    before = out.read_bytes()
    options = ["--out", str(out), "--device", "cpu", "--dtype", "float32"]
    assert main(["generate", str(tiny_model), str(dialogues), *options]) == 65
    assert "choose another --out" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_fault_3_a_long_prompt_does_not_shorten_the_reply(tiny_model: Path, tmp_path: Path) -> None:
    """The script that goes round counts the prompt in its max_length."""
    lengths = []
    for said in ("hi", "how are you today? " * 12):
        path = tmp_path / f"{len(said)}.jsonl"
        path.write_text(json.dumps({"turns": [said, "fine"]}) + "\n")
        options = ["--guards", "off", "--set", "min_new_tokens=8"]
        _, row = generated(tiny_model, path, tmp_path / f"{len(said)}.out", *options)
        lengths.append(row["num_tokens"])
    assert lengths == [8, 8]


def test_fault_2_the_prompt_is_not_in_the_reply(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "dialogues.jsonl"
    path.write_text(json.dumps({"turns": ["what is your name?", "no"]}) + "\n")
    _, row = generated(tiny_model, path, tmp_path / "out.jsonl", "--guards", "off")
    assert "what is your name?" not in row["completion"]
    assert next(read_items(tmp_path / "out.jsonl")).completion == row["completion"]


class Parrot:
    """A voice that counts, and remembers what it was asked."""

    def __init__(self, fallback_at: int | None = None) -> None:
        self.asked: list[list[str]] = []
        self._fallback_at = fallback_at

    async def answer(self, turns: Sequence[Turn], said: str, params: SamplingParams) -> Spoken:
        self.asked.append([*(turn.text for turn in turns), said])
        number = len(self.asked)
        return Spoken(f"reply {number}", is_fallback=number == self._fallback_at)


def asked(voice: Parrot, memory: Memory) -> list[list[str]]:
    plan = Plan(SamplingParams(), memory, seed=0)
    asyncio.run(answer_dialogue(voice, exchanges_of(["a", "b", "c", "d", "e", "f"]), plan, 0))
    return voice.asked


def test_the_bot_remembers_its_own_replies_or_what_people_said() -> None:
    assert asked(Parrot(), Memory.OWN)[-1] == ["a", "reply 1", "c", "reply 2", "e"]
    assert asked(Parrot(), Memory.FILE)[-1] == ["a", "b", "c", "d", "e"]


def test_the_fallback_sentence_is_not_remembered() -> None:
    assert asked(Parrot(fallback_at=2), Memory.OWN)[-1] == ["a", "reply 1", "e"]


def test_the_last_of_the_remembered_turns_is_the_bots() -> None:
    assert [turn.role for turn in remembered(["a", "b", "c"])] == [Role.BOT, Role.USER, Role.BOT]


def test_a_preset_and_values_over_it_make_the_params() -> None:
    params = parse_params("deterministic", ["top_k=3", "no_repeat_ngram_size=4"])
    assert (params.temperature, params.top_k, params.no_repeat_ngram_size) == (0.1, 3, 4)
    assert parse_params(None, []) == SamplingParams()
    assert parse_params(None, [], VOICE).no_repeat_ngram_size == 6
    assert parse_params("focused", [], CHAT).max_new_tokens == 256
    for wrong in ("top_k", "top_k=many", "top_k=-1", "heat=3"):
        with pytest.raises(InputError, match=f"--set {wrong} is not NAME=VALUE"):
            parse_params(None, [wrong])


def test_a_foreign_file_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("my notes")
    with pytest.raises(InputError, match="holds something else"), Output(path, {"run": {}}, [1]):
        pass
    assert path.read_text() == "my notes"


def test_beams_find_a_reply_at_least_as_likely_as_greedy(
    tiny_model: Path, dialogues: Path, tmp_path: Path, capsys: Capture
) -> None:
    found = {
        beams: generated(
            tiny_model,
            dialogues,
            tmp_path / f"{beams}.jsonl",
            *("--guards", "off", "--history", "file", "--beams", beams),
        )
        for beams in ("1", "8")
    }
    assert found["8"][0]["run"]["beams"] == 8
    per_token = [
        sum(row["logprob"] for row in rows[1:]) / sum(row["num_tokens"] for row in rows[1:])
        for rows in found.values()
    ]
    assert per_token[1] >= per_token[0]
    options = ["--out", str(tmp_path / "x"), "--beams", "2"]
    assert main(["generate", str(tiny_model), str(dialogues), *options]) == 65
    assert "add --guards off" in capsys.readouterr().err


def test_candidates_are_ranked_as_the_run_says(
    tiny_model: Path, dialogues: Path, tmp_path: Path, capsys: Capture
) -> None:
    reverse = make_tiny_gpt2(tmp_path / "reverse", seed=5)
    many = ["--set", "num_candidates=4", "--limit", "1"]
    about, *rows = generated(
        tiny_model, dialogues, tmp_path / "mmi", *many, "--reverse-model", str(reverse)
    )
    assert (about["run"]["rank"], about["run"]["reverse_model"]) == ("mmi", str(reverse))
    assert about["run"]["reverse_revision"].startswith("sha256:")
    assert {"mean_logprob_alone", "mean_logprob_back"} <= rows[0]["scores"].keys()
    about, *rows = generated(
        tiny_model, dialogues, tmp_path / "alone", *many, "--rank", "likelihood"
    )
    assert about["run"]["rank"] == "likelihood"
    assert rows[0]["scores"]["score"] == rows[0]["scores"]["mean_logprob"]
    wrong = ["--out", str(tmp_path / "x"), "--guards", "off", "--reverse-model", str(reverse)]
    assert main(["generate", str(tiny_model), str(dialogues), *wrong]) == 65
    assert "nothing is ranked" in capsys.readouterr().err


def test_a_model_sees_as_much_as_the_bot_lets_it(tiny_model: Path) -> None:
    assert limits_for("embedded", None) == ContextBudget(130, 14)
    assert limits_for(str(tiny_model), None) == LIMITS == ContextBudget(256, 16)


@pytest.mark.parametrize("guards", ["on", "off"])
def test_the_embedded_model_knows_a_name_that_it_was_told_five_exchanges_before(
    tmp_path: Path, guards: str
) -> None:
    between = ["do you like tea?", "yes", "and music?", "sure", "what about rain?", "no"]
    between += ["do you have a cat?", "no", "are you a robot?", "yes"]
    turns = ["my name is Anna", "hi", *between, "what is my name?", "Anna"]
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps({"turns": turns}))
    options = ("--preset", "deterministic", "--guards", guards)
    about, *rows = generated(EMBEDDED, path, tmp_path / "out.jsonl", *options)
    assert about["run"]["context_turns"] == 14
    assert "Anna" in rows[-1]["completion"]
