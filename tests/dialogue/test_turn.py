from dataclasses import FrozenInstanceError

import pytest

from bot.dialogue.turn import Exchange, Role, Scope
from tests.dialogue.builders import path


def test_scopes_of_one_channel_and_member_are_the_same_key() -> None:
    assert {Scope(1): "a", Scope(1, 2): "b"}[Scope(1, user_id=2)] == "b"
    assert Scope(1) != Scope(1, 1)


def test_roles_are_the_words_that_are_stored() -> None:
    assert [role.value for role in Role] == ["user", "bot"]
    assert Role("bot") is Role.BOT


def test_a_turn_cannot_be_changed() -> None:
    user, bot = path("hi", "hello")
    exchange = Exchange(user, bot)
    with pytest.raises(FrozenInstanceError):
        exchange.user.text = "bye"  # type: ignore[misc]  # that it is refused is the test


def test_a_turn_knows_its_parent() -> None:
    user, bot = path("hi", "hello")
    assert (user.parent_id, bot.parent_id) == (None, user.turn_id)
