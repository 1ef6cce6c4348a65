import json
from pathlib import Path

import pytest

from evaluation.errors import InputError
from evaluation.item import Item
from evaluation.reading import read_dialogues, read_items, read_run


def written(folder: Path, *lines: object, name: str = "replies.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


def refusal(path: Path, *references: Path) -> str:
    with pytest.raises(InputError) as raised:
        list(read_items(path, references))
    return str(raised.value)


def test_every_line_of_a_text_is_a_reply_and_an_empty_one_too(tmp_path: Path) -> None:
    path = tmp_path / "replies.txt"
    path.write_bytes(b"\xef\xbb\xbfhi there\r\n\n a\xe2\x80\xa8b\n")
    assert [item.completion for item in read_items(path)] == ["hi there", "", " a\u2028b"]


def test_references_of_a_text_stand_in_files_beside_it(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("replies.txt", "one.txt", "other.txt")]
    for path, text in zip(paths, ("a\nb\n", "c\nd\n", "e\n\n"), strict=True):
        path.write_text(text)
    items = list(read_items(paths[0], paths[1:]))
    assert [item.references for item in items] == [("c", "e"), ("d",)]
    paths[1].write_text("c\n")
    assert "one.txt ends before line 2" in refusal(*paths)


def test_a_prompt_and_its_completion_are_one_reply(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"run": {"seed": 3}},
        {"prompt": "hi", "completion": "hello"},
        {"prompt": ["a", "b", "c"], "completion": "", "references": ["d"], "dialogue": 7},
        {"completion": "x", "reference": "y", "fallback": True},
    )
    assert list(read_items(path)) == [
        Item("hello", ("hi",), group=2),
        Item("", ("a", "b", "c"), ("d",), group=7),
        Item("x", (), ("y",), group=4, is_fallback=True),
    ]
    assert read_run(path) == {"seed": 3}


def test_of_turns_every_second_one_is_the_bots(tmp_path: Path) -> None:
    path = written(tmp_path, {"turns": ["a", "b", "c", "d", "e"]})
    assert [(item.completion, item.history) for item in read_items(path)] == [
        ("b", ("a",)),
        ("d", ("a", "b", "c")),
    ]


def test_with_references_the_last_turn_is_judged(tmp_path: Path) -> None:
    path = written(tmp_path, {"turns": ["a", "b", "c"], "references": ["d", "e"]})
    assert list(read_items(path)) == [Item("c", ("a", "b"), ("d", "e"), group=1)]


def test_a_speaker_who_has_not_begun_said_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, {"turns": ["__SILENCE__", "b", "c", "d"]})
    assert [item.history for item in read_items(path)] == [(), ("b", "c")]


def test_own_turns_are_those_of_the_one_who_replies() -> None:
    assert Item("d", ("a", "b", "c")).own_turns == ("b",)
    assert Item("e", ("a", "b", "c", "d")).own_turns == ("a", "c")
    assert Item("b", ("a",)).own_turns == Item("a").own_turns == ()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"completion": ["hi", "there"]}, "line 2: the completion is a list. A sentence is wanted"),
        ({"completion": "a", "references": [["b"]]}, "line 2: item 1 of references is a list"),
        ({"prompt": [1], "completion": "a"}, "line 2: item 1 of prompt is a number"),
        ({"prompt": {}, "completion": "a"}, 'prompt is an object: write a list, ["…", "…"]'),
        ({"turns": "hi"}, "line 2: turns is a text"),
        ({"turns": ["a", None]}, "line 2: item 2 of turns is null"),
        ({"text": "hi"}, "line 2 has neither a completion nor turns, but text: write"),
        ({"completion": None}, 'completion is null. A sentence is wanted: write it as "…", or ""'),
        ([1], "line 2 is a list, not an object"),
        ("hi", "line 2 is a text, not an object"),
    ],
)
def test_a_wrong_shape_names_the_line_and_the_mend(
    row: object, sentence: str, tmp_path: Path
) -> None:
    assert sentence in refusal(written(tmp_path, {"completion": "fine"}, row))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text('{"completion": "a"}\n{"completion": \n')
    assert "line 2 is no JSON object" in refusal(path)
    path.write_bytes(b'{"completion": "a"}\n\xff\n')
    assert "line 2 is not UTF-8" in refusal(path)
    path.write_text('{"completion": "a"}\n\n{"completion": "b"}\n')
    assert "line 2 is blank" in refusal(path)
    path.write_text('[{"completion": "a"}]')
    assert "is one JSON list" in refusal(path)
    assert "No such file" in refusal(tmp_path / "absent.txt")


def test_references_of_objects_stand_in_them(tmp_path: Path) -> None:
    path = written(tmp_path, {"completion": "a"})
    assert "put the references into them" in refusal(path, path)


def test_dialogues_are_turns(tmp_path: Path) -> None:
    path = written(tmp_path, {"turns": ["a", "b"]}, {"turns": ["c"]})
    assert list(read_dialogues(path)) == [("a", "b"), ("c",)]
    with pytest.raises(InputError, match="line 2 has no turns"):
        list(read_dialogues(written(tmp_path, {"turns": ["a"]}, {"turns": []})))


def test_a_large_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "replies.txt"
    path.write_text("hello there\n" * 10_000)
    items = read_items(path)
    assert next(items).completion == "hello there"
    path.write_text("")  # what is not read yet is gone
    assert len(list(items)) < 9_999
