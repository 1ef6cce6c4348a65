"""Which commands Discord has is asked of Discord: it alone knows what became of them."""

import copy
from collections.abc import Awaitable, Callable

import pytest

from bot.client.chat_bot import ChatBot
from bot.client.command_sync import OWN_NAMES
from bot.settings.settings import Settings
from bot.store.database.database import Database
from tests.cogs.stage import build_services
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Json
from tests.fakes import ScriptedEngine

Start = Callable[..., Awaitable[None]]
COMMANDS = "/applications/*/commands"
ENTRY_POINT: Json = {
    "id": "77",
    "application_id": "1",
    "version": "1",
    "type": 4,
    "name": "launch",
    "name_localizations": {"ko": "시작"},
    "description": "",
    "handler": 2,
    "default_member_permissions": None,
    "dm_permission": True,
    "contexts": [0, 1, 2],
    "integration_types": [0, 1],
    "nsfw": False,
}


@pytest.fixture
def start(database: Database, engine: ScriptedEngine, server: DiscordServer) -> Start:
    async def log_in(**options: object) -> None:
        """Start the bot as far as it comes before it connects."""
        settings = Settings.model_validate(options)
        server.requests.clear()
        async with ChatBot(build_services(database, engine, settings)) as bot:
            await bot.login(server.token)

    return log_in


def asked(server: DiscordServer, method: str) -> int:
    return len(server.requests_to(method, COMMANDS))


async def test_commands_that_discord_has_are_looked_at_once_and_not_sent(
    server: DiscordServer, start: Start
) -> None:
    await start()
    assert (asked(server, "GET"), asked(server, "PUT")) == (1, 1)
    assert {one["name"] for one in server.world.commands[None]} == OWN_NAMES
    await start()
    assert (asked(server, "GET"), asked(server, "PUT")) == (1, 0)


async def test_copies_of_a_development_server_are_looked_at_once_and_not_sent(
    server: DiscordServer, start: Start
) -> None:
    guild = server.add_guild("Home")
    await start()
    await start(dev_guild_id=guild.id)
    assert server.world.commands[None] == []
    await start(dev_guild_id=guild.id)
    assert (asked(server, "GET"), asked(server, "PUT")) == (1, 0)
    await start()
    assert server.world.commands[guild.id] == []
    assert {one["name"] for one in server.world.commands[None]} == OWN_NAMES


def without_mydata(commands: list[Json]) -> list[Json]:
    return [one for one in commands if one["name"] != "mydata"]


def with_another(commands: list[Json]) -> list[Json]:
    return [*commands, {**commands[0], "name": "theirs", "id": "9"}]


def without_korean(commands: list[Json]) -> list[Json]:
    return [{**one, "description_localizations": None} for one in commands]


def for_moderators(commands: list[Json]) -> list[Json]:
    return [{**one, "default_member_permissions": "32"} for one in commands]


def in_private_channels(commands: list[Json]) -> list[Json]:
    return [{**one, "contexts": [0, 1, 2]} for one in commands]


def with_another_range(commands: list[Json]) -> list[Json]:
    changed = copy.deepcopy(commands)
    settings = next(one for one in changed if one["name"] == "settings")
    next(one for one in settings["options"] if one["name"] == "top_k")["min_value"] = 1
    return changed


def with_another_order(commands: list[Json]) -> list[Json]:
    changed = copy.deepcopy(commands)
    next(one for one in changed if one["name"] == "settings")["options"].reverse()
    return changed


def nothing(_: list[Json]) -> list[Json]:
    return []


@pytest.mark.parametrize(
    "change",
    [
        without_mydata,
        with_another,
        without_korean,
        for_moderators,
        in_private_channels,
        with_another_range,
        with_another_order,
        nothing,
    ],
)
async def test_what_another_program_changed_is_ours_again_after_the_next_start(
    server: DiscordServer,
    start: Start,
    change: Callable[[list[Json]], list[Json]],
) -> None:
    await start()
    sent = [one.body for one in server.requests_to("PUT", COMMANDS)]
    server.world.commands[None] = change(server.world.commands[None])
    await start()
    assert [one.body for one in server.requests_to("PUT", COMMANDS)] == sent
    await start()
    assert asked(server, "PUT") == 0


@pytest.mark.parametrize("has_own_server", [False, True])
async def test_the_entry_point_of_an_activity_stays(
    server: DiscordServer, start: Start, has_own_server: bool
) -> None:
    options = {"dev_guild_id": server.add_guild("Home").id} if has_own_server else {}
    server.world.commands[None] = [{**ENTRY_POINT, "application_id": str(server.bot.id)}]
    await start(**options)
    (stays,) = [one for one in server.world.commands[None] if one["type"] == 4]
    changing = {"version"}
    assert {key: stays[key] for key in ENTRY_POINT.keys() - changing} == {
        key: value for key, value in ENTRY_POINT.items() if key not in changing
    } | {"application_id": str(server.bot.id)}
    assert len(server.world.commands[None]) == (1 if has_own_server else 1 + len(OWN_NAMES))
    await start(**options)
    assert asked(server, "PUT") == 0
