"""What Discord says of the token and the application."""

import socket

import pytest
from discord.http import Route

from bot.client.command_sync import OWN_NAMES
from bot.doctor import account
from bot.startup.single_instance import only_instance
from tests.discord_server.errors import Refusal
from tests.discord_server.faults import Hold
from tests.discord_server.intents import Intent
from tests.discord_server.platform import token_of
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Guild
from tests.doctor.patient import Patient


async def test_the_bot_is_introduced_by_one_login(patient: Patient, server: DiscordServer) -> None:
    found = await patient.examine()
    assert found.the("ok", "the bot is banter").endswith(f"(id {server.bot.id}). Servers: 1.")
    found.the("ok", "No privileged intent is needed")
    commands = f"/applications/{server.bot.id}/commands"
    paths = ["/users/@me", "/oauth2/applications/@me", commands]
    assert [one.path for one in server.requests] == paths
    assert {one.method for one in server.requests} == {"GET"}
    assert server.gateway.identifies == []


WRONG_TOKEN = token_of(123456789012345678)


async def test_a_wrong_token_is_told_and_not_shown(patient: Patient) -> None:
    found = await patient.examine(DISCORD_TOKEN=WRONG_TOKEN)
    assert found.exit_code == 78
    (line,) = found.marked("fault")
    assert "Discord refuses DISCORD_TOKEN: make a new one on the Bot page" in line
    assert WRONG_TOKEN not in "\n".join(found.lines)
    found.the("ok", "There is no database")


async def test_an_unreachable_discord_is_told(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(Route, "BASE", f"http://127.0.0.1:{port}/api/v10")
    found = await patient.examine()
    assert found.exit_code == 69
    assert "check the network" in found.the("fault", "Discord cannot be reached")


async def test_a_discord_that_does_not_answer_is_not_waited_for(
    patient: Patient, server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "PATIENCE_SECONDS", 0.2)
    server.faults.add("GET", "/users/@me", Hold())
    found = await patient.examine()
    assert "discordstatus.com" in found.the("fault", "Discord did not answer within")
    assert found.exit_code == 69


async def test_a_discord_in_trouble_is_told(
    patient: Patient, server: DiscordServer, guild: Guild
) -> None:
    server.faults.add("GET", f"/guilds/{guild.id}", Refusal(400, 0, "odd"))
    found = await patient.examine(DEV_GUILD_ID=str(guild.id))
    found.the("ok", "Discord knows the token")
    found.the("fault", "Discord cannot be reached (400 Bad Request")


async def test_a_public_bot_is_warned_of_with_both_pages(
    patient: Patient, server: DiscordServer
) -> None:
    server.set_in_portal(bot_public=True)
    found = await patient.examine()
    line = found.the("warning", "Anyone can add the bot")
    assert f"https://discord.com/developers/applications/{server.bot.id} set Install" in line
    assert "then switch Public Bot off (page Bot)" in line
    assert found.exit_code == 0


@pytest.mark.parametrize(
    ("portal", "words"),
    [
        ({"bot_require_code_grant": True}, "Requires OAuth2 Code Grant off"),
        ({"interactions_endpoint_url": "https://a.example"}, "Interactions Endpoint URL"),
    ],
)
async def test_traps_of_the_portal_are_told(
    patient: Patient, server: DiscordServer, portal: dict[str, object], words: str
) -> None:
    server.set_in_portal(**portal)
    found = await patient.examine()
    found.the("warning", words)


async def test_message_content_without_its_switch_is_a_fault(
    patient: Patient, server: DiscordServer
) -> None:
    found = await patient.examine(MESSAGE_CONTENT="on")
    line = found.the("fault", "MESSAGE_CONTENT is on, but Discord does not allow it")
    assert "(page Bot), or set MESSAGE_CONTENT=off" in line
    assert found.exit_code == 78
    server.enable_in_portal(Intent.MESSAGE_CONTENT)
    found = await patient.examine(MESSAGE_CONTENT="on")
    found.the("ok", "so is the Message Content intent")
    assert found.exit_code == 0


async def test_a_bot_in_no_server_gets_its_invitation(
    patient: Patient, server: DiscordServer, guild: Guild
) -> None:
    server.set_in_portal(approximate_guild_count=0)
    line = (await patient.examine()).the("warning", "in no server yet. Invite it: https://")
    assert f"client_id={server.bot.id}&scope=bot+applications.commands&permissions=" in line


async def test_a_server_for_commands_that_the_bot_is_not_in_is_told(
    patient: Patient, guild: Guild
) -> None:
    found = await patient.examine(DEV_GUILD_ID="404")
    found.the("warning", "DEV_GUILD_ID is 404, but the bot is in no such server")
    found = await patient.examine(DEV_GUILD_ID=str(guild.id))
    assert found.marked("warning") == []


@pytest.mark.parametrize(
    ("seconds", "words"), [(-600, "ahead of Discord's"), (600, "behind Discord's")]
)
async def test_a_clock_that_is_off_is_told(
    patient: Patient, server: DiscordServer, seconds: float, words: str
) -> None:
    server.clock.advance(seconds)
    line = (await patient.examine()).the("warning", words)
    assert any(f"is {number} s {words}" in line for number in (599, 600, 601))
    assert "set-ntp" in line


@pytest.mark.parametrize("is_own", [False, True])
async def test_commands_that_discord_lacks_are_named(
    patient: Patient, server: DiscordServer, guild: Guild, is_own: bool
) -> None:
    place = guild.id if is_own else None
    own = {"DEV_GUILD_ID": str(guild.id)} if is_own else {}
    (await patient.examine(**own)).the("ok", "no slash commands of the bot yet")
    names = sorted(OWN_NAMES - {"mydata", "reset"})
    server.world.commands[place] = [{"type": 1, "name": name} for name in [*names, "theirs"]]
    line = (await patient.examine(**own)).the("warning", "lacks slash commands")
    assert "(/mydata, /reset)" in line
    server.world.commands[place] = [{"type": 1, "name": name} for name in OWN_NAMES]
    assert "slash commands" not in " ".join((await patient.examine(**own)).lines)


async def test_a_bot_that_runs_is_told(patient: Patient, server: DiscordServer) -> None:
    with only_instance(server.token):
        found = await patient.examine()
    found.the("ok", "Banter is running with this token now.")
    assert "running" not in " ".join((await patient.examine()).lines)
