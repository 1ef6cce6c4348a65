"""What the embedded model is given where nobody has set it."""

import pytest

from bot.settings.settings import EMBEDDED_MODEL, Settings, load_settings
from tests.settings.test_settings import EXAMPLE, load


@pytest.mark.parametrize(("name", "most"), [("context_turns", 14), ("context_tokens", 130)])
def test_the_embedded_model_sees_what_it_can_follow_unless_it_is_told(name: str, most: int) -> None:
    for unset in ({}, {name.upper(): ""}):
        assert getattr(load(MODEL="embedded", **unset), f"num_{name}") == most
    assert getattr(load(MODEL="embedded", **{name.upper(): "80"}), f"num_{name}") == 80
    by_default = load_settings({}, EXAMPLE, default_model="embedded")
    assert getattr(by_default, f"num_{name}") == most


def test_any_other_model_sees_as_much_as_dialogpt() -> None:
    for settings in (load(), load(MODEL="a/b")):
        assert (settings.num_context_tokens, settings.num_context_turns) == (256, 16)
    assert load(CONTEXT_TURNS="30").num_context_turns == 30


def test_the_embedded_model_may_say_a_name_twice() -> None:
    assert Settings(model=EMBEDDED_MODEL).sampling.no_repeat_ngram_size == 6
    assert Settings(model=EMBEDDED_MODEL, no_repeat_ngram_size=3).sampling.no_repeat_ngram_size == 3
    assert Settings().sampling.no_repeat_ngram_size == 3
