"""The operator's lists hold for commands, too, except for what is everybody's right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.client.chat_bot import ChatBot
from bot.settings.settings import Settings
from cogs.gate import NOT_OPEN
from tests.cogs.commands_bot import World, commands_world, text_of
from tests.cogs.stage import build_services

CLOSED: list[tuple[str, dict[str, Any]]] = [
    ("complete", {"text": "I love cats because", "picture": False}),
    ("reset", {}),
    ("settings", {"top_k": 7}),
    ("status", {}),
]
OPEN: list[tuple[str, dict[str, Any]]] = [
    ("help", {}),
    ("privacy", {}),
    ("mydata export", {}),
    ("mydata erase", {"confirm": "yes"}),
]
FENCES: list[Callable[[World], dict[str, object]]] = [
    lambda world: {"blocked_user_ids": [world.alice.id]},
    lambda world: {"blocked_channel_ids": [world.channel.id]},
    lambda world: {"allowed_channel_ids": [world.other_channel.id]},
    lambda world: {"allowed_role_ids": [1]},
]


async def fence(world: World, **overrides: object) -> None:
    """Start the bot again with other settings."""
    stage = world.stage
    await stage.services.delivery.stop(5.0)
    settings = Settings.model_validate(overrides)
    stage.bot = ChatBot(build_services(world.database, stage.engine, settings))
    world.services = stage.services
    await stage.env.restart_bot(stage.bot)
    await stage.env.settle()


@pytest.mark.parametrize("overrides", FENCES)
async def test_who_is_fenced_out_gets_one_sentence_and_keeps_their_rights(
    tmp_path: Path, overrides: Callable[[World], dict[str, object]]
) -> None:
    async with commands_world(tmp_path) as world:
        thread = world.stage.thread()
        await fence(world, **overrides(world))
        for channel in (world.channel, thread):
            for command, options in CLOSED:
                result = await world.alice.slash(channel, command, **options)
                assert text_of(result) == NOT_OPEN
                assert result.ephemeral
        assert await world.stored(world.place()) == {}
        for command, options in OPEN:
            result = await world.alice.slash(world.channel, command, **options)
            assert text_of(result) != NOT_OPEN


@pytest.mark.parametrize("overrides", [{"allow_dms": False}, {"allowed_role_ids": [1]}])
async def test_closed_direct_messages_are_closed_to_commands(
    tmp_path: Path, overrides: dict[str, object]
) -> None:
    async with commands_world(tmp_path, **overrides) as world:
        assert text_of(await world.alice.user.slash("status")) == NOT_OPEN
        assert "**What I keep**" in text_of(await world.alice.user.slash("privacy"))


async def test_who_is_welcome_may_use_every_command(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        role = world.guild.create_role("Friends")
        friend = world.stage.member("friend", roles=[role])
        await fence(world, allowed_role_ids=[role.id], allowed_channel_ids=[world.channel.id])
        for command, options in CLOSED:
            result = await friend.slash(world.channel, command, **options)
            assert text_of(result) != NOT_OPEN
