from pathlib import Path

from bot.dialogue.turn import Scope
from tests.cogs.commands_bot import AWAY, World, commands_world, text_of


async def talked(world: World, *scopes: Scope) -> None:
    for scope in scopes:
        await world.talk(scope, "hello there")
        assert await world.num_turns(scope) == 2


async def test_reset_forgets_the_channel_that_all_share_and_no_other(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        here, elsewhere = Scope(world.channel.id), Scope(world.other_channel.id)
        await talked(world, here, elsewhere)
        result = await world.alice.slash(world.channel, "reset")
        assert await world.num_turns(here) == 0
        assert await world.num_turns(elsewhere) == 2
        assert "started over" in text_of(result)
        assert not result.ephemeral  # everybody sees who did it


async def test_reset_in_a_thread_leaves_its_channel_alone(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        thread = world.stage.thread()
        await talked(world, Scope(world.channel.id), Scope(thread.id))
        await world.alice.slash(thread, "reset")
        assert await world.num_turns(Scope(thread.id)) == 0
        assert await world.num_turns(Scope(world.channel.id)) == 2


async def test_reset_in_a_direct_message(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        scope = Scope(world.alice.user.dm_channel.id)
        await talked(world, scope)
        result = await world.alice.user.slash("reset")
        assert await world.num_turns(scope) == 0
        assert result.ephemeral


async def test_reset_of_a_private_history_is_private_and_for_one_member(tmp_path: Path) -> None:
    async with commands_world(tmp_path, history="member") as world:
        own = Scope(world.channel.id, world.alice.id)
        others = Scope(world.channel.id, world.moderator.id)
        direct = Scope(world.alice.user.dm_channel.id)
        await talked(world, own, others, direct)
        result = await world.alice.slash(world.channel, "reset")
        assert await world.num_turns(own) == 0
        assert await world.num_turns(others) == 2
        assert result.ephemeral
        await world.alice.user.slash("reset")
        assert await world.num_turns(direct) == 0


async def test_reset_without_a_database_says_so(tmp_path: Path) -> None:
    async with commands_world(tmp_path) as world:
        await world.database.close()
        result = await world.alice.slash(world.channel, "reset")
        assert text_of(result).startswith(AWAY)
