"""What the bot says of itself at the start, and which commands it sends to Discord."""

import asyncio
import logging
from typing import Any

import discord
import pytest
from discord import app_commands

from bot.client.chat_bot import ChatBot
from bot.delivery.ports import Courier
from bot.errors import StoreUnavailableError
from bot.settings.settings import Settings
from bot.store.database.database import Database
from bot.store.servers import SqlServers
from tests.cogs.stage import Stage, build_services, open_stage
from tests.fakes import ScriptedEngine


def uploads(stage: Stage) -> list[Any]:
    """The bodies of the requests that set our commands."""
    return [
        one.json
        for one in stage.env.http_requests
        if one.method == "PUT" and one.path.endswith("/commands")
    ]


async def restart(stage: Stage, database: Database, **options: object) -> None:
    settings = Settings.model_validate(options)
    stage.bot = ChatBot(build_services(database, stage.engine, settings))
    await stage.env.restart_bot(stage.bot)


async def test_the_log_says_who_we_are_and_how_to_invite_us(
    database: Database,
    engine: ScriptedEngine,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bot = ChatBot(build_services(database, engine, settings))
    with caplog.at_level(logging.INFO, "bot.client.chat_bot"):
        async with open_stage(bot, engine):
            assert bot.user is not None
            own_id = bot.user.id
    ready = [one.getMessage() for one in caplog.records if one.getMessage().startswith("Ready: ")]
    assert ready == [f"Ready: {bot.user} ({own_id}) in 0 servers."]
    (invite,) = [one for one in caplog.messages if one.startswith("Invite me: ")]
    assert f"client_id={bot.application_id}" in invite
    assert "permissions=274877975552" in invite
    assert "scope=bot+applications.commands" in invite


async def test_the_answering_goes_on_at_every_new_connection(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    starts: asyncio.Queue[Courier] = asyncio.Queue()

    async def start(courier: Courier) -> None:
        starts.put_nowait(courier)

    monkeypatch.setattr(stage.services.delivery, "start", start)
    with caplog.at_level(logging.INFO, "bot.client.chat_bot"):
        for event in ("ready", "ready", "resumed"):
            stage.bot.dispatch(event)
        await stage.env.settle()
        couriers = [await starts.get() for _ in range(3)]
    assert len(set(map(id, couriers))) == 1
    assert caplog.messages == ["Connected again."] * 2


async def test_commands_are_sent_only_when_they_changed(
    stage: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(uploads(stage)) == 1
    for _ in range(3):
        await restart(stage, database)
    assert len(uploads(stage)) == 1

    @app_commands.command(name="hello", description="Say hello")
    async def hello(interaction: discord.Interaction) -> None: ...

    load_extension = ChatBot.load_extension

    async def load_more(bot: ChatBot, name: str, *, package: str | None = None) -> None:
        await load_extension(bot, name, package=package)
        bot.tree.add_command(hello, override=True)

    monkeypatch.setattr(ChatBot, "load_extension", load_more)
    await restart(stage, database)
    assert len(uploads(stage)) == 2
    await restart(stage, database)
    assert len(uploads(stage)) == 2


async def test_a_development_server_gets_the_commands_itself_and_shows_each_once(
    stage: Stage, database: Database
) -> None:
    everywhere, development, commands = None, stage.guild.id, stage.env.backend.commands
    names = set(commands[everywhere])
    await restart(stage, database, dev_guild_id=development)
    assert not commands[everywhere]
    assert set(commands[development]) == names
    before = len(uploads(stage))
    await restart(stage, database, dev_guild_id=development)
    assert len(uploads(stage)) == before
    await restart(stage, database)
    assert set(commands[everywhere]) == names
    assert not commands[development]


async def test_commands_that_are_still_everywhere_are_cleared_at_the_next_start(
    stage: Stage, database: Database
) -> None:
    path = f"/applications/{stage.bot.application_id}/commands"
    stage.env.inject_error("PUT", path, status=500, code=0)
    await restart(stage, database, dev_guild_id=stage.guild.id)
    assert stage.env.backend.commands[None]
    assert stage.env.backend.commands[stage.guild.id]
    await restart(stage, database, dev_guild_id=stage.guild.id)
    assert not stage.env.backend.commands[None]


async def test_a_development_server_that_we_are_not_in_takes_the_commands_from_nobody(
    stage: Stage, database: Database
) -> None:
    stage.env.inject_error("PUT", "/applications/*/guilds/*/commands", status=403, code=50001)
    await restart(stage, database, dev_guild_id=stage.guild.id)
    assert stage.env.backend.commands[None]


@pytest.mark.parametrize("has_another", [True, False])
async def test_a_server_that_is_no_longer_for_development_loses_its_copies(
    stage: Stage, database: Database, has_another: bool
) -> None:
    guild_id = stage.env.create_guild().id if has_another else None
    await restart(stage, database, dev_guild_id=stage.guild.id)
    assert stage.env.backend.commands[stage.guild.id]
    await restart(stage, database, dev_guild_id=guild_id)
    assert not stage.env.backend.commands[stage.guild.id]
    assert stage.env.backend.commands[guild_id]
    before = len(uploads(stage))
    await restart(stage, database, dev_guild_id=guild_id)
    assert len(uploads(stage)) == before


@pytest.mark.parametrize(("status", "is_tried_again"), [(403, False), (500, True)])
async def test_copies_that_cannot_be_cleared_are_tried_again_unless_we_left_that_server(
    stage: Stage, database: Database, status: int, is_tried_again: bool
) -> None:
    await restart(stage, database, dev_guild_id=stage.guild.id)
    path = "/applications/*/guilds/*/commands"
    stage.env.inject_error("PUT", path, status=status, code=50001)
    await restart(stage, database)
    before = len(uploads(stage))
    await restart(stage, database)
    assert (len(uploads(stage)) > before) is is_tried_again


async def test_commands_that_another_program_overwrote_come_back(
    stage: Stage, database: Database
) -> None:
    everywhere, backend = None, stage.env.backend
    names = set(backend.commands[everywhere])
    backend.register_commands(everywhere, [{"name": "theirs", "description": "not ours"}])
    await restart(stage, database)
    assert set(backend.commands[everywhere]) == names
    assert len(uploads(stage)) == 2


async def test_what_an_earlier_version_noted_of_a_development_server_is_understood(
    stage: Stage, database: Database
) -> None:
    development = stage.guild.id
    await restart(stage, database, dev_guild_id=development)
    key = f"commands:{stage.bot.application_id}"
    assert await stage.services.servers.setting(0, key) == str(development)
    await stage.services.servers.save_setting(0, key, f"{development}:{'0' * 64}")
    await restart(stage, database)
    assert not stage.env.backend.commands[development]
    assert await stage.services.servers.setting(0, key) == "0"


async def test_without_a_memory_nothing_is_sent_that_discord_has(
    stage: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailableError

    monkeypatch.setattr(SqlServers, "setting", away)
    monkeypatch.setattr(SqlServers, "save_setting", away)
    await restart(stage, database)
    assert len(uploads(stage)) == 1


async def test_commands_that_discord_does_not_take_do_not_stop_the_bot(
    database: Database,
    engine: ScriptedEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise discord.RateLimited(3600.0)

    monkeypatch.setattr(discord.http.HTTPClient, "bulk_upsert_global_commands", refuse)
    async with open_stage(ChatBot(build_services(database, engine, settings)), engine) as stage:
        await stage.alice.send(stage.channel, f"{stage.us} hello")
        assert len(stage.texts()) == 1
    assert "did not take the slash commands" in caplog.text


async def test_closing_leaves_no_task_of_ours(stage: Stage) -> None:
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    await stage.services.delivery.stop(5.0)
    await stage.bot.close()
    assert stage.bot.extensions == {}
