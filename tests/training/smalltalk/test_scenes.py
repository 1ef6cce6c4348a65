from pathlib import Path

import pytest

from training.smalltalk.grammar import Grammar
from training.smalltalk.scenes import Scene, load_book
from training.smalltalk.template import Sequence, slot_keys
from training.smalltalk.words import load_words


def templates(scene: Scene) -> list[Sequence]:
    lines = [*scene.trunk, *(line for branch in scene.branches for line in branch)]
    cells = [cell for row in scene.rows for cell in row]
    return [*(option for line in lines for option in line.options), *cells]


def test_every_slot_has_words() -> None:
    book, words = load_book(), load_words()
    scenes = {s.title: templates(s) for s in book.scenes}
    scenes |= {r.fact: [*r.questions, *r.answers, *r.untold] for r in book.recalls}
    missing = {
        (title, key)
        for title, found in scenes.items()
        for template in found
        for key in slot_keys(template)
        if not key.isdigit() and key.partition(".")[0] not in words
    }
    assert not missing


def test_every_row_of_a_scene_has_as_many_cells_as_the_scene_uses() -> None:
    for scene in load_book().scenes:
        used = {int(key) for t in templates(scene) for key in slot_keys(t) if key.isdigit()}
        assert all(len(row) == len(scene.rows[0]) for row in scene.rows), scene.title
        assert used == set(range(1, 1 + len(scene.rows[0]) if scene.rows else 1)) or (
            used <= set(range(1, 1 + len(scene.rows[0]))) if scene.rows else not used
        ), scene.title


def test_titles_are_unique() -> None:
    titles = [scene.title for scene in load_book().scenes]
    assert len(titles) == len(set(titles))


def test_every_told_fact_can_be_asked_for_and_every_asked_one_told() -> None:
    book = load_book()
    told = {fact for scene in book.scenes for fact in scene.facts}
    assert told == {recall.fact for recall in book.recalls}


def test_what_comes_after_a_question_comes_after_one_that_the_bot_asks(grammar: Grammar) -> None:
    """A question that no reply ends with would make its scene dead."""
    import random  # noqa: PLC0415

    rng = random.Random(4)
    said = {turn for _ in range(6000) for turn in grammar.dialogue(rng)[1::2]}
    dead = [
        (scene.title, scene.questions)
        for scene in grammar.book.scenes
        if scene.questions and not any(t.endswith(q) for q in scene.questions for t in said)
    ]
    assert not dead


@pytest.mark.parametrize(
    "text",
    [
        "> hi\n< hello",
        "== a\n> hi",
        "== a\n< hello\n> hi",
        "== a\nhi",
        "== recall a\n> what?\n< that",
    ],
)
def test_a_scene_without_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "scenes.txt").write_text(text)
    with pytest.raises(ValueError, match=r"scene|recall"):
        load_book(tmp_path)


def test_the_parts_of_a_scene_are_read(tmp_path: Path) -> None:
    (tmp_path / "scenes.txt").write_text(
        "# a remark\n== tea *3 reaction\n@ Tea?\n% a => b\n> {1}\n> one\n< {2}\n/ > x\n  < y\n"
    )
    [scene] = load_book(tmp_path).scenes
    assert scene.weight == 3
    assert scene.tags == {"reaction"}
    assert scene.questions == ("Tea?",)
    assert [len(line.options) for line in scene.trunk] == [2, 1]
    assert len(scene.branches) == len(scene.rows) == 1
