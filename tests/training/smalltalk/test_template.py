import random

import pytest

from training.smalltalk.template import expand, parse, particle, slot_keys


def all_texts(template: str, **words: str) -> set[str]:
    parsed = parse(template)
    rng = random.Random(1)
    return {expand(parsed, rng, words.__getitem__) for _ in range(300)}


def test_a_choice_is_one_of_its_options() -> None:
    assert all_texts("(hi|hello) there") == {"hi there", "hello there"}


def test_an_option_may_fall_away() -> None:
    assert all_texts("hi[!| you]") == {"hi", "hi!", "hi you"}


def test_choices_nest_and_may_be_empty() -> None:
    assert all_texts("a(b(c|d)|)") == {"abc", "abd", "a"}


def test_a_slot_takes_article_and_capital() -> None:
    assert all_texts("{a pet}", pet="owl") == {"an owl"}
    assert all_texts("{a ^pet}", pet="cat") == {"A cat"}
    assert all_texts("{^pet.2}", **{"pet.2": "cat"}) == {"Cat"}


def test_a_backslash_takes_a_bracket_as_it_is() -> None:
    assert all_texts(r"(:\)|:\()") == {":)", ":("}


@pytest.mark.parametrize("wrong", ["(a|b", "a)b", "[a|b)", "{a", "{a b c}", "{}"])
def test_a_template_without_form_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="template"):
        parse(wrong)


@pytest.mark.parametrize(
    ("word", "pair", "with_particle"),
    [
        ("라면", ("을", "를"), "라면을"),
        ("피자", ("을", "를"), "피자를"),
        ("서울", ("으로", "로"), "서울로"),
        ("부산", ("으로", "로"), "부산으로"),
        ("민준", ("이야", "야"), "민준이야"),
        ("Sam", ("은", "는"), "Sam는"),
    ],
)
def test_a_korean_particle_fits_the_last_letter(
    word: str, pair: tuple[str, str], with_particle: str
) -> None:
    assert word + particle(word, *pair) == with_particle
    assert all_texts(f"{{w~{pair[0]}/{pair[1]}}}", w=word) == {with_particle}


def test_slots_are_found_however_deep() -> None:
    assert slot_keys(parse("{a}[x|({b.2}|y)]{^c~을/를}")) == {"a", "b.2", "c"}
