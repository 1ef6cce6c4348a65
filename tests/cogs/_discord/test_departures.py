"""What is kept of servers that removed the bot while it was offline."""

import discord
import pytest

from bot.client.chat_bot import ChatBot
from bot.dialogue.turn import Scope
from bot.ports import BOT_ITSELF
from bot.store.database.database import Database
from cogs._discord.departures import APPLICATION, SEVERAL
from tests.cogs.stage import Stage, build_services

ELSEWHERE = 4242  # a server that we are not in


async def restart(stage: Stage, database: Database) -> None:
    await stage.services.delivery.stop(5.0)
    stage.bot = ChatBot(build_services(database, stage.engine, stage.services.settings))
    await stage.env.restart_bot(stage.bot)
    await stage.env.settle()


@pytest.fixture
async def left(stage: Stage, database: Database) -> Stage:
    """The bot after a start that knew its server; what is kept of another one was left behind."""
    await restart(stage, database)
    await stage.alice.send(stage.channel, f"{stage.us} hello")
    await stage.services.servers.save_setting(ELSEWHERE, "language", "ko")
    return stage


async def is_kept(stage: Stage, guild_id: int) -> bool:
    return guild_id in await stage.services.servers.servers()


async def test_a_server_that_was_left_while_we_were_offline_is_purged_at_the_start(
    left: Stage, database: Database
) -> None:
    await restart(left, database)
    assert not await is_kept(left, ELSEWHERE)
    assert await is_kept(left, left.guild.id)
    assert (await left.services.history.status(Scope(left.channel.id))).num_turns == 2


async def test_a_server_that_is_unavailable_at_the_start_is_kept(
    left: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def guilds(bot: ChatBot) -> list[discord.Guild]:
        state = bot._connection
        away = discord.Guild._create_unavailable(state=state, guild_id=ELSEWHERE, data=None)
        return [*state.guilds, away]

    monkeypatch.setattr(ChatBot, "guilds", property(guilds))
    await restart(left, database)
    assert await is_kept(left, ELSEWHERE)


async def test_a_bot_in_no_server_purges_none(
    left: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChatBot, "guilds", ())
    await restart(left, database)
    assert await is_kept(left, ELSEWHERE)


async def test_the_servers_of_another_bot_in_the_same_database_are_kept(
    left: Stage, database: Database
) -> None:
    servers = left.services.servers
    await servers.save_setting(BOT_ITSELF, APPLICATION, "1")
    for _ in range(2):
        await restart(left, database)
        assert await servers.setting(BOT_ITSELF, APPLICATION) == SEVERAL
        assert await is_kept(left, ELSEWHERE)


async def test_without_a_database_the_bot_answers_all_the_same(
    left: Stage, database: Database
) -> None:
    await database.close()
    await restart(left, database)
    before = len(left.texts())
    await left.alice.send(left.channel, f"{left.us} hello")
    assert len(left.texts()) == before + 1
