from pathlib import Path

import pytest

from tests.cogs.commands_bot import World, commands_world, text_of

USABLE = (
    "complete",
    "help",
    "mydata erase",
    "mydata export",
    "privacy",
    "reset",
    "settings",
    "status",
)


def command_id(world: World, name: str) -> str:
    return str(world.registered()[name.split(maxsplit=1)[0]]["id"])


async def test_help_says_that_it_is_a_bot_and_names_every_command_clickably(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        result = await world.alice.slash(world.channel, "help")
        text = text_of(result)
        assert result.ephemeral
        assert "**a bot**" in text
        assert "makes things up" in text
        for name in USABLE:
            assert f"</{name}:{command_id(world, name)}>" in text
        assert "30 days" in text


async def test_help_names_commands_plainly_while_their_ids_are_unknown(
    tmp_path: Path,
) -> None:
    async with commands_world(tmp_path) as world:
        world.env.inject_error("GET", "/applications/*/commands", status=500)
        text = text_of(await world.alice.slash(world.channel, "help"))
        for name in USABLE:
            assert f"`/{name}`" in text


async def test_the_ids_are_asked_for_once(tmp_path: Path) -> None:
    def num_asked() -> int:
        """How often Discord was asked for the commands, at the start, too."""
        asked = [one.path for one in world.env.http_requests if one.method == "GET"]
        return len([path for path in asked if path.endswith("/commands")])

    async with commands_world(tmp_path) as world:
        before = num_asked()
        for _ in range(3):
            await world.alice.slash(world.channel, "help")
        assert num_asked() == before + 1


@pytest.mark.parametrize("allow_dms", [True, False])
async def test_help_speaks_of_direct_messages_where_they_are_open(
    tmp_path: Path, allow_dms: bool
) -> None:
    async with commands_world(tmp_path, allow_dms=allow_dms) as world:
        text = text_of(await world.alice.user.slash("help"))
        assert ("In a direct message" in text) is allow_dms


async def test_help_works_without_a_database(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.database.close()
        text = text_of(await world.alice.slash(world.channel, "help"))
        assert "**a bot**" in text
