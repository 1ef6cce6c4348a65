"""What Discord is told of the commands: a change here is a change for every user."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.dialogue.sampling import BOUNDS
from tests.cogs.commands_bot import commands_world

GUILD, BOT_DM = 0, 1
GUILD_INSTALL = 0
SUBCOMMAND, STRING, INTEGER, BOOLEAN, NUMBER = 1, 3, 4, 5, 10

OPTIONS = {
    "complete": {
        "text": (STRING, None),
        "length": (INTEGER, (1, 100)),
        "temperature": (NUMBER, (0.1, 2.0)),
        "top_k": (INTEGER, (0, 200)),
        "top_p": (NUMBER, (0.05, 1.0)),
        "seed": (INTEGER, (0, 2**31 - 1)),
        "picture": (BOOLEAN, None),
        "layer": (INTEGER, (1, 1000)),
    },
    "help": {},
    "privacy": {},
    "reset": {},
    "status": {},
    "mydata": {"export": (SUBCOMMAND, None), "erase": (SUBCOMMAND, None)},
    "settings": {
        "preset": (STRING, None),
        "temperature": (NUMBER, (0.1, 2.0)),
        "top_k": (INTEGER, (0, 200)),
        "top_p": (NUMBER, (0.05, 1.0)),
        "min_p": (NUMBER, (0.0, 0.5)),
        "repetition_penalty": (NUMBER, (1.0, 2.0)),
        "no_repeat_ngram_size": (INTEGER, (0, 10)),
        "no_repeat_own_ngram_size": (INTEGER, (0, 10)),
        "dry_multiplier": (NUMBER, (0.0, 5.0)),
        "min_new_tokens": (INTEGER, (1, 16)),
        "max_new_tokens": (INTEGER, (8, 256)),
        "num_candidates": (INTEGER, (1, 16)),
        "seed": (INTEGER, (0, 2**31 - 1)),
        "apply_to": (STRING, None),
    },
}


@pytest.fixture
async def registered(tmp_path: Path) -> dict[str, dict[str, Any]]:
    async with commands_world(tmp_path) as world:
        return world.registered()


async def test_the_commands_and_their_options(registered: dict[str, dict[str, Any]]) -> None:
    assert {name: options(command) for name, command in registered.items()} == OPTIONS


async def test_ranges_are_those_of_the_sampling_values(
    registered: dict[str, dict[str, Any]],
) -> None:
    ranged = {
        name: limits for name, (_, limits) in options(registered["settings"]).items() if limits
    }
    assert ranged == {name: (bound.low, bound.high) for name, bound in BOUNDS.items()}


async def test_commands_work_in_servers_and_direct_messages_only(
    registered: dict[str, dict[str, Any]],
) -> None:
    for command in registered.values():
        assert sorted(command["contexts"]) == [GUILD, BOT_DM]
        assert command["integration_types"] == [GUILD_INSTALL]
        assert command.get("default_member_permissions") is None


async def test_choices(registered: dict[str, dict[str, Any]]) -> None:
    by_name = {option["name"]: option for option in every_option(registered["settings"])}
    assert [choice["value"] for choice in by_name["preset"]["choices"]] == [
        "balanced",
        "creative",
        "focused",
        "deterministic",
        "neutral",
        "defaults",
    ]
    assert [choice["value"] for choice in by_name["apply_to"]["choices"]] == [
        "me",
        "channel",
        "server",
    ]


async def test_erase_cannot_be_used_without_confirming(
    registered: dict[str, dict[str, Any]],
) -> None:
    erase = next(one for one in registered["mydata"]["options"] if one["name"] == "erase")
    (confirm,) = erase["options"]
    assert confirm["required"] is True
    assert [choice["value"] for choice in confirm["choices"]] == ["yes"]


async def test_no_option_but_the_confirmation_is_required(
    registered: dict[str, dict[str, Any]],
) -> None:
    assert not any(option.get("required") for option in every_option(registered["settings"]))


async def test_everything_is_described_within_discords_limits_in_every_language(
    registered: dict[str, dict[str, Any]],
) -> None:
    for command in registered.values():
        for described in (command, *every_option(command)):
            assert described["description"].strip("…")
            for text in (
                described["description"],
                *(described.get("description_localizations") or {}).values(),
            ):
                assert 1 <= len(text) <= 100
            for choice in described.get("choices") or ():
                names = (choice["name"], *(choice.get("name_localizations") or {}).values())
                assert all(1 <= len(name) <= 100 for name in names)


def options(command: dict[str, Any]) -> dict[str, tuple[int, tuple[float, float] | None]]:
    """A command's options by name, each with its type and its range."""
    found = {}
    for option in command.get("options") or ():
        ranged = "min_value" in option
        limits = (option["min_value"], option["max_value"]) if ranged else None
        found[option["name"]] = (option["type"], limits)
    return found


def every_option(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The options of a command and of its subcommands."""
    for option in node.get("options") or ():
        yield option
        yield from every_option(option)
