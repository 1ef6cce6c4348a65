import random
from dataclasses import replace

from training.smalltalk.noise import Manner, draw_manner, type_out

PLAIN = Manner(
    lower=False, bare=False, short_forms=False, slang=0.0, slips=0.0, emoji=0.0, chatty=0.0
)


def typed(text: str, manner: Manner, *, kept: tuple[str, ...] = ()) -> set[str]:
    rng = random.Random(2)
    return {type_out(text, manner, rng, kept) for _ in range(300)}


def test_a_careful_member_types_nearly_as_written() -> None:
    assert {text.rstrip(".!") for text in typed("I like tea.", PLAIN)} == {"I like tea"}


def test_small_letters_short_forms_and_no_marks() -> None:
    manner = replace(PLAIN, lower=True, bare=True, short_forms=True)
    assert "i dont know" in typed("I don't know.", manner)


def test_a_slip_changes_one_word_but_never_a_word_of_the_scene() -> None:
    texts = typed("my hamster sleeps", replace(PLAIN, slips=1.0), kept=("hamster",))
    assert len(texts) > 5
    assert all("hamster" in text for text in texts)


def test_emoji_and_laughter_stand_outside_the_sentence() -> None:
    texts = typed("I like tea", replace(PLAIN, emoji=1.0))
    assert len(texts) > 5
    assert all("I like tea" in text for text in texts)


def test_a_text_is_never_typed_away() -> None:
    assert all(typed("?", replace(PLAIN, bare=True)))


def test_members_differ() -> None:
    rng = random.Random(3)
    manners = [draw_manner(rng) for _ in range(400)]
    assert 150 < sum(manner.lower for manner in manners) < 250
    assert len(set(manners)) > 40
