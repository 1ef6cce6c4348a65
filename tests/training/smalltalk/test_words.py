import random
from pathlib import Path

import pytest

from training.smalltalk.words import Split, Vocabulary, draw, invent, invent_korean, load_words

NAMES = Vocabulary(("Mina", "Jun"), ("Odette",), made_up=0.5)


def drawn(split: Split, *, lower: bool) -> set[tuple[str, str]]:
    rng = random.Random(1)
    words = [draw(NAMES, rng, split, lower=lower) for _ in range(200)]
    return {(word.told, word.answered) for word in words if word.known or split is not Split.SEEN}


def test_held_out_words_are_never_drawn_for_training() -> None:
    rng = random.Random(1)
    assert "Odette" not in {draw(NAMES, rng, Split.SEEN, lower=False).told for _ in range(500)}


def test_only_held_out_words_are_drawn_where_there_are_any() -> None:
    assert drawn(Split.HELD_OUT, lower=False) == {("Odette", "Odette")}


def test_the_bot_gives_a_known_name_its_capital_back() -> None:
    assert drawn(Split.SEEN, lower=True) == {("mina", "Mina"), ("jun", "Jun")}


def test_the_bot_repeats_an_unknown_name_as_it_was_told() -> None:
    assert drawn(Split.HELD_OUT, lower=True) == {("odette", "odette")}


def test_made_up_words_are_many_and_in_the_right_script() -> None:
    rng = random.Random(1)
    latin = {invent(rng, capital=True) for _ in range(500)}
    korean = {invent_korean(rng) for _ in range(500)}
    assert len(latin) > 450
    assert all(word.isascii() and word[0].isupper() for word in latin)
    assert len(korean) > 450
    assert all("가" <= char <= "힣" for word in korean for char in word)


def test_the_projects_words_are_on_one_side_each() -> None:
    words = load_words()
    assert len(words["name"].seen) > 150
    for slot in ("name", "pet", "food", "city", "color", "hobby", "age", "job", "ko_name"):
        assert len(words[slot].held_out) >= 5, slot


@pytest.mark.parametrize("text", ["name Mina, Jun", "name: A, B\nname (held out): B", "name:"])
def test_a_word_list_without_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "words.txt").write_text(text)
    with pytest.raises(ValueError, match="name"):
        load_words(tmp_path)
