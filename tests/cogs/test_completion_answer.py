"""The answer to /complete fits a message, whatever was given and whatever was written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.answering.text_completion import CompletedText
from bot.dialogue.continuation import Continuation, ContinuationStep, Likely, Survivors
from cogs._completion_answer import completed_answer

LEFT = Survivors(50, 7, 7)


def likely(token_id: int, text: str, probability: float, *, allowed: bool = True) -> Likely:
    return Likely(token_id, text, probability, allowed)


OF, IS, A = likely(1, " of", 0.87), likely(2, " is", 0.004), likely(3, "a`b", 0.5, allowed=False)


def writing(added: str, *steps: ContinuationStep, ended: bool = False) -> CompletedText:
    whole = Continuation("text" + added, added, (1, 2, 3), 1, steps, ended, 7)
    return CompletedText(whole, steps, None)


def shown(given_text: str, added: str, *steps: ContinuationStep, ended: bool = False) -> str:
    return completed_answer(given_text, writing(added, *steps, ended=ended), [], "en")


@pytest.mark.parametrize(
    ("added", "text"),
    [
        (" they purr ", "cats **they purr**"),
        ("tle rustling", "cats**tle rustling**"),
        ("\n\nThe end", "cats\n**The end**"),
        (" * one", "cats **\\* one**"),
        (" half \ufffd", "cats **half**"),
        (" \u200d\ufffd", "cats"),
        ("", "cats"),
    ],
)
def test_only_the_models_part_is_bold(added: str, text: str) -> None:
    assert shown("cats", added).partition("\n-# ")[0] == text


def test_a_step_tells_what_was_drawn_and_what_else_was_allowed_and_likely() -> None:
    table = shown(
        "cats", " of", ContinuationStep(OF, (OF, A, IS), LEFT), ContinuationStep(A, (OF,), LEFT)
    )
    assert "\n1  ␣of  87%  ␣is <1%\n2  aˋb  50%  ␣of 87%\n```" in table


def test_an_end_of_the_models_own_is_told() -> None:
    end = ContinuationStep(likely(0, "<|endoftext|>", 0.6), (), LEFT)
    text = shown("cats", " of", ContinuationStep(OF, (), LEFT), end, ended=True)
    assert "mine (1 word pieces)" in text
    assert text.endswith("I ended the text there myself.")
    assert "2  <|endoftext|>  60%" in text


def test_the_table_goes_first_then_the_beginning_of_the_text() -> None:
    step = ContinuationStep(OF, (OF, IS), LEFT)
    assert "```" in shown("a" * 1000, " purr", step)
    assert "```" not in shown("a" * 1880, " purr", step)
    text = shown("b" + "a" * 5000, " purr", step)
    assert text.startswith("…aaa")
    assert "aaa **purr**\n-# The bold part is mine" in text
    assert len(text) == 2000


def test_a_very_long_continuation_leaves_some_of_the_text() -> None:
    text = shown("say " + "it " * 200, "=" * 12_800)
    assert len(text) <= 2000
    assert text.startswith("…")
    assert "it it **===" in text
    assert "==…**\n-# " in text


WILD = st.text(alphabet=st.sampled_from("a*_`|~>#-[]() \n\\고🐈@<:.d\ufffd"), max_size=3000)


@settings(max_examples=60, deadline=None)
@given(begun=WILD, added=WILD)
def test_any_answer_fits_a_message(begun: str, added: str) -> None:
    text = shown(begun, added, ContinuationStep(OF, (OF, A), LEFT))
    assert len(text.encode("utf-16-le")) // 2 <= 2000
    assert "@everyone" not in text
