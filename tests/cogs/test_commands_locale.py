import gettext
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.texts import say
from tests.cogs.commands_bot import commands_world, text_of


class LoudCatalogue(gettext.NullTranslations):
    """Stands for a translation: every letter outside `{places}` in capitals."""

    def gettext(self, message: str) -> str:
        parts = message.replace("}", "{").split("{")
        return "".join(
            part.upper() if index % 2 == 0 else f"{{{part}}}" for index, part in enumerate(parts)
        )


@pytest.fixture
def korean_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Korean a catalogue in which nothing is missing: capitals."""

    def catalogue(language: str) -> gettext.NullTranslations:
        return LoudCatalogue() if language == "ko" else gettext.NullTranslations()

    monkeypatch.setattr("bot.texts._catalogue", catalogue)


ANSWERS = [
    ("reset", {}, "I'VE STARTED OVER HERE"),
    ("settings", {}, "HOW I WRITE TO YOU HERE"),
    ("settings", {"top_k": 5}, "SET FOR YOU IN THIS SERVER: `top_k` 5."),
    ("settings", {"preset": "defaults"}, "IS GONE"),
    ("settings", {"top_k": 5, "apply_to": "server"}, "MANAGE SERVER"),
    ("settings", {"top_k": 500}, "MUST BE BETWEEN"),
    ("status", {}, "QUEUE"),
    ("help", {}, "A LANGUAGE MODEL"),
    ("help", {}, "START A NEW CONVERSATION HERE"),
    ("privacy", {}, "WHAT I KEEP"),
    ("mydata export", {}, "THIS IS EVERYTHING"),
    ("mydata erase", {"confirm": "yes"}, "ERASED"),
]


@pytest.mark.usefixtures("korean_is_loud")
@pytest.mark.parametrize(("command", "options", "expected"), ANSWERS)
async def test_answers_are_in_the_language_of_who_asks(
    tmp_path: Path, command: str, options: dict[str, Any], expected: str
) -> None:
    async with commands_world(tmp_path) as world:
        korean = await world.use(world.alice, world.channel, command, locale="ko", **options)
        assert expected in text_of(korean)
        english = await world.use(world.alice, world.channel, command, locale="de", **options)
        assert expected not in text_of(english)


async def test_the_locale_of_who_uses_a_command_is_remembered(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.use(world.alice, world.channel, "privacy", locale="ko")
        assert await world.services.servers.locale(world.alice.id) == "ko"
        await world.use(world.alice, world.channel, "help", locale="en-GB")
        assert await world.services.servers.locale(world.alice.id) == "en-GB"


async def test_the_command_is_answered_when_the_locale_cannot_be_saved(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.database.close()
        result = await world.use(world.alice, world.channel, "privacy", locale="ko")
        assert say("**What I keep**", "ko") in text_of(result)


@pytest.mark.usefixtures("korean_is_loud")
async def test_descriptions_and_choices_are_translated_and_names_are_not(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        for command in world.registered().values():
            for described in walk(command):
                loud = {"ko": described["description"].upper()}
                assert described["description_localizations"] == loud
                assert not described.get("name_localizations")
                for choice in described.get("choices") or ():
                    assert choice["name_localizations"] == {"ko": choice["name"].upper()}


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A command, its subcommands and their options."""
    yield node
    for option in node.get("options") or ():
        yield from walk(option)
