from collections.abc import Mapping

import pytest

from bot.dialogue.sampling import (
    BOUNDS,
    Defaults,
    Layer,
    Number,
    Overrides,
    SamplingParams,
    resolve,
)
from bot.rendering.columns import aligned
from bot.rendering.settings_table import settings_rows
from cogs._settings_answer import Change, change_answer, settings_answer
from tests.cogs.commands_bot import MAX_CHARS

LONGEST: Mapping[str, Number] = {name: bound.high for name, bound in BOUNDS.items()}


def test_the_table_shows_what_is_in_force() -> None:
    effective = resolve(Defaults(SamplingParams()), {Layer.SERVER: {"top_k": 20}})
    answer = settings_answer(effective, "en-US", in_server=True)
    assert answer.split("```")[1].strip() == aligned(settings_rows(effective, "en-US"))


@pytest.mark.parametrize("locale", ["en-US", "ko"])
@pytest.mark.parametrize("in_server", [True, False])
def test_the_longest_answers_fit_a_message(locale: str, in_server: bool) -> None:
    overrides = dict.fromkeys(Layer, LONGEST)
    effective = resolve(Defaults(SamplingParams()), overrides)
    bare = resolve(Defaults(SamplingParams(seed=2**31 - 1), "dialogpt"), {})
    assert len(settings_answer(bare, locale, in_server=in_server)) <= MAX_CHARS
    assert len(settings_answer(effective, locale, in_server=in_server)) <= MAX_CHARS
    for layer in (Layer.SERVER, Layer.CHANNEL, Layer.MEMBER):
        change = Change(layer, LONGEST, cleared=True, in_server=in_server)
        assert len(change_answer(change, effective, locale)) <= MAX_CHARS


def test_a_direct_message_does_not_speak_of_channels() -> None:
    answer = settings_answer(resolve(Defaults(SamplingParams()), {}), "en-US", in_server=False)
    assert "channel" not in answer
    assert "apply_to" not in answer


def test_a_change_names_what_was_set_and_for_whom() -> None:
    effective = resolve(
        Defaults(SamplingParams()), {Layer.MEMBER: {"temperature": 0.5, "top_k": 20}}
    )
    change = Change(Layer.MEMBER, {"temperature": 0.5, "top_k": 20}, cleared=False, in_server=True)
    first, *rest = change_answer(change, effective, "en-US").splitlines()
    assert first == "Set for you in this server: `temperature` 0.5, `top_k` 20."
    assert not any("⚠️" in line for line in rest)


def test_a_change_that_a_stronger_layer_hides_is_told_with_the_value_in_force() -> None:
    overrides: Overrides = {
        Layer.SERVER: {"temperature": 0.5, "top_k": 20, "min_p": 0.1},
        Layer.CHANNEL: {"top_k": 30},
        Layer.MEMBER: {"temperature": 0.9},
    }
    change = Change(Layer.SERVER, overrides[Layer.SERVER], cleared=False, in_server=True)
    answer = change_answer(change, resolve(Defaults(SamplingParams()), overrides), "en-US")
    warnings = [line for line in answer.splitlines() if line.startswith("⚠️")]
    assert len(warnings) == 2
    assert "`top_k` 30" in warnings[0]
    assert "channel" in warnings[0]
    assert "`temperature` 0.9" in warnings[1]
    assert "your own" in warnings[1]
