"""Every cog loads, and its commands say what Discord and people need to know."""

import ast
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from discord import app_commands

from bot.client.chat_bot import EXTENSIONS, PERMISSIONS, ChatBot, intents_for
from bot.settings.settings import Settings
from bot.store.upkeep.opening import open_database
from tests.cogs.stage import build_services
from tests.fakes import ScriptedEngine

COGS = Path(__file__).parent.parent.parent / "cogs"
GUILD_MEMBERS, PRESENCES, MESSAGE_CONTENT = 1 << 1, 1 << 8, 1 << 15  # the privileged intents
Command = app_commands.Command[Any, ..., Any]


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[ChatBot]:
    """A bot with all of its cogs, not connected to anything."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'banter.db'}"
    database = await open_database(url, history_key="off", key_path=tmp_path / "history.key")
    bot = ChatBot(build_services(database, ScriptedEngine(), Settings()))
    async with bot:
        for name in EXTENSIONS:
            await bot.load_extension(name)
        yield bot
    await database.close()


def test_every_extension_is_a_file_and_every_file_is_loaded() -> None:
    files = {f"cogs.{path.stem}" for path in COGS.glob("*.py") if not path.stem.startswith("_")}
    assert set(EXTENSIONS) == files
    assert len(EXTENSIONS) == len(files)


async def test_no_two_commands_have_the_same_name(bot: ChatBot) -> None:
    names = [command.name for command in bot.tree.get_commands()]
    assert len(names) >= 5
    assert len(names) == len(set(names))


async def test_every_command_and_every_option_is_described(bot: ChatBot) -> None:
    for command in bot.tree.walk_commands():
        assert command.description.strip("… "), command.qualified_name
        for option in command.parameters if isinstance(command, app_commands.Command) else ():
            assert option.description.strip("… "), f"{command.qualified_name} {option.name}"


async def test_every_command_says_where_it_is_shown(bot: ChatBot) -> None:
    for command in bot.tree.get_commands():
        payload = command.to_dict(bot.tree)
        assert payload["contexts"] in ([0], [0, 1]), command.name
        assert payload["integration_types"] == [0], command.name


async def test_commands_are_found_by_discord_only(bot: ChatBot) -> None:
    assert set(bot.commands) == set()


def test_no_privileged_intent_is_asked_for() -> None:
    privileged = GUILD_MEMBERS | PRESENCES | MESSAGE_CONTENT
    assert intents_for(Settings()).value & privileged == 0
    assert intents_for(Settings(message_content=True)).value & privileged == MESSAGE_CONTENT


def test_the_invitation_asks_for_no_more_than_is_needed() -> None:
    assert {name for name, granted in PERMISSIONS if granted} == {
        "read_messages",  # View Channels
        "send_messages",
        "send_messages_in_threads",
        "read_message_history",
    }


def test_no_cog_reaches_for_another() -> None:
    for path in COGS.glob("*.py"):
        names = {
            node.attr
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Attribute)
        }
        assert names.isdisjoint({"get_cog", "cogs"}), path.name
