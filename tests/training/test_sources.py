import json
import random
from pathlib import Path

import pytest

from evaluation.errors import InputError
from training.sources import CHUNK_DIALOGUES, Collected, read_collected


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def numbered(count: int) -> Collected:
    return Collected(tuple((f"{i}", f"reply {i}") for i in range(count)))


def draw(source: Collected, seed: str, chunk: int) -> list[tuple[str, ...]]:
    return source.draw(random.Random(0), seed, chunk)


def test_dialogues_of_several_files_follow_one_another(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", {"turns": ["hi", "hello"], "topic": "greeting"})
    two = write(tmp_path / "two.jsonl", {"turns": ["안녕", "네", "잘 지내?"]})
    read = read_collected([one, two])
    assert read.dialogues == (("hi", "hello"), ("안녕", "네", "잘 지내?"))
    assert read.fingerprint != read_collected([two, one]).fingerprint


def test_silences_and_dialogues_of_one_turn_are_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"turns": ["__SILENCE__", "hey", "oh, hi"]},
        {"turns": ["__SILENCE__", "hello?"]},
    )
    read = read_collected([path])
    assert read.dialogues == (("hey", "oh, hi"),)
    assert read.num_left_out == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ({"text": "hi"}, 'line 2 has no list of turns: write {"turns": ["…", "…"]}'),
        ({"turns": "hi"}, "line 2 has no list of turns"),
        ({"turns": ["hi", 3]}, "line 2 has no list of turns"),
        ({"turns": ["hi", " "]}, "line 2: turn 2 is empty: write what was said"),
        (["hi"], "line 2 is a list, not an object"),
    ],
)
def test_a_wrong_line_is_named_with_the_mend(tmp_path: Path, line: object, sentence: str) -> None:
    path = write(tmp_path / "chat.jsonl", {"turns": ["a", "b"]}, line)
    with pytest.raises(InputError) as caught:
        read_collected([path])
    assert sentence in str(caught.value)
    assert "chat.jsonl" in str(caught.value)


def test_files_without_an_answer_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "chat.jsonl", {"turns": ["alone"]})
    with pytest.raises(InputError, match="nothing to learn"):
        read_collected([path])


def test_a_pass_gives_every_dialogue_once_in_an_order_of_its_own() -> None:
    source = numbered(2 * CHUNK_DIALOGUES + 5)
    assert source.num_chunks == 3
    passes = [
        [dialogue for part in range(3) for dialogue in draw(source, "a", 3 * number + part)]
        for number in range(2)
    ]
    assert sorted(passes[0]) == sorted(passes[1]) == sorted(source.dialogues)
    assert passes[0] != passes[1]


def test_the_order_depends_on_the_seed_alone() -> None:
    source = numbered(50)
    assert draw(source, "a", 1) == draw(source, "a", 1)
    assert draw(source, "a", 1) != draw(source, "b", 1)
