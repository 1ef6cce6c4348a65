"""What of a profile the owner's settings leave, and what they take its place."""

from dataclasses import replace

import pytest

from bot.dialogue.context import ContextBudget
from bot.dialogue.profiles import BASE, CHAT, DIALOGPT, EMBEDDED, Profile
from bot.dialogue.sampling import BOUNDS, Defaults
from bot.settings.settings import Settings, load_settings
from tests.settings.test_settings import EXAMPLE, load

PROFILES = pytest.mark.parametrize("profile", [DIALOGPT, BASE, EMBEDDED, CHAT])


@PROFILES
def test_a_copy_of_the_example_leaves_every_kind_of_model_what_it_needs(profile: Profile) -> None:
    for settings in (load(), load_settings({}, EXAMPLE)):
        assert settings.defaults(profile) == Defaults(profile.sampling, profile.name)
        assert settings.budget(profile) == profile.budget


@PROFILES
def test_what_the_owner_sets_wins_over_the_profile_also_where_it_is_the_default(
    profile: Profile,
) -> None:
    settings = load(TEMPERATURE="0.8", TOP_K="50", CONTEXT_TURNS="8", MAX_NEW_TOKENS="")
    chosen = frozenset({"temperature", "top_k"})
    expected = replace(profile.sampling, temperature=0.8, top_k=50)
    assert settings.defaults(profile) == Defaults(expected, profile.name, chosen)
    assert settings.budget(profile) == ContextBudget(profile.budget.num_tokens, 8)
    assert load(CONTEXT_TOKENS="100").budget(profile).num_tokens == 100


def test_the_defaults_in_the_documents_are_those_of_dialogpt() -> None:
    fields = Settings.model_fields
    assert {name: fields[name].default for name in BOUNDS if name != "seed"} == (
        DIALOGPT.sampling.values()
    )
    budget = ContextBudget(fields["context_tokens"].default, fields["context_turns"].default)
    assert budget == DIALOGPT.budget == BASE.budget == ContextBudget(256, 16)
    assert EMBEDDED.budget == ContextBudget(130, 14)
