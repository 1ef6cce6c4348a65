"""What is kept of channels and threads that were deleted while the bot was offline."""

import discord
import pytest
from simcord.backend.models import Channel

from bot.answering.ports import Head
from bot.dialogue.turn import Scope
from bot.ports import BOT_ITSELF
from bot.store.database import tables
from bot.store.database.database import Database
from cogs._discord import lost_channels
from cogs._discord.departures import APPLICATION
from tests.cogs._discord.test_departures import restart
from tests.cogs.faulty import Response
from tests.cogs.stage import Stage
from tests.store.talk import draft, said

# A look back asks for channels, too.
pytestmark = pytest.mark.parametrize("overrides", [{"catch_up_minutes": 0}])
GONE = 4242  # a channel that Discord does not know


async def talk_in(stage: Stage, channel_id: int, parent_id: int | None = None) -> None:
    """Words that an earlier run left of a channel of the server."""
    utterance = said(
        channel_id,
        scope=Scope(channel_id),
        guild_id=stage.guild.id,
        parent_channel_id=parent_id,
    )
    await stage.services.history.remember(draft(utterance), Head())


async def is_kept(stage: Stage, channel_id: int) -> bool:
    return channel_id in {one.channel_id for one in await stage.services.servers.channels()}


async def parent_of(stage: Stage, channel_id: int) -> int | None:
    kept = await stage.services.servers.channels()
    return next(one.parent_id for one in kept if one.channel_id == channel_id)


async def forget_parents(database: Database) -> None:
    """Leave the rows as an older version did."""
    for table in (tables.turn, tables.conversation):
        await database.execute(table.update().values(parent_channel_id=None))


def hidden(stage: Stage, channel_id: int) -> Channel:
    """A channel that Discord knows and does not tell of: archived, or not for the bot."""
    guild = stage.env.backend.get_guild(stage.guild.id)
    for told in (guild.channel_ids, guild.thread_ids):
        if channel_id in told:
            told.remove(channel_id)
    return stage.env.backend.get_channel(channel_id)


def asked(stage: Stage) -> list[int]:
    """The channels that Discord was asked for, in order."""
    requests = [one for one in stage.env.http_requests if one.method == "GET"]
    parts = [one.path.strip("/").split("/") for one in requests]
    return [int(one[-1]) for one in parts if one[-2] == "channels"]


async def test_a_channel_that_was_deleted_while_we_were_offline_is_purged_with_its_threads(
    stage: Stage, database: Database
) -> None:
    await talk_in(stage, stage.channel.id)
    await talk_in(stage, GONE)
    await talk_in(stage, 4243, GONE)
    await talk_in(stage, 4244, GONE)
    await restart(stage, database)
    assert not [one for one in (GONE, 4243, 4244) if await is_kept(stage, one)]
    assert await is_kept(stage, stage.channel.id)
    assert asked(stage) == [GONE]


async def test_a_channel_that_the_bot_cannot_see_any_more_is_kept(
    stage: Stage, database: Database
) -> None:
    guild = stage.bot.get_guild(stage.guild.id)
    assert guild is not None
    unseen = discord.PermissionOverwrite(view_channel=False)
    other = stage.guild.create_text_channel("other", overwrites={guild.default_role: unseen})
    await talk_in(stage, other.id)
    hidden(stage, other.id)
    await forget_parents(database)
    for _ in range(2):
        await restart(stage, database)
        assert await parent_of(stage, other.id) == 0
    assert asked(stage) == [other.id] * 2


async def test_what_discord_does_not_answer_in_its_own_words_deletes_nothing(
    stage: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise discord.NotFound(Response(), "a page of a proxy")

    monkeypatch.setattr(discord.Client, "fetch_channel", refuse)
    await talk_in(stage, GONE)
    await forget_parents(database)
    await restart(stage, database)
    assert await parent_of(stage, GONE) is None


async def test_parents_of_older_rows_are_taken_from_the_cache_or_asked_for_once(
    stage: Stage, database: Database
) -> None:
    active, archived = stage.thread(), stage.thread()
    for channel_id in (stage.channel.id, active.id, archived.id, GONE):
        await talk_in(stage, channel_id)
    await forget_parents(database)
    hidden(stage, archived.id)
    await restart(stage, database)
    assert await parent_of(stage, stage.channel.id) == 0
    assert await parent_of(stage, active.id) == stage.channel.id
    assert await parent_of(stage, archived.id) == stage.channel.id
    assert not await is_kept(stage, GONE)
    assert sorted(asked(stage)) == sorted([archived.id, GONE])


async def test_a_start_asks_for_a_few_and_the_next_one_goes_on(
    stage: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_channels, "NUM_QUESTIONS", 2)
    threads = sorted(stage.thread().id for _ in range(3))
    for thread_id in threads:
        await talk_in(stage, thread_id, stage.channel.id)
        hidden(stage, thread_id)
    for _ in range(3):
        await restart(stage, database)
    assert asked(stage) == [*threads, *threads]


async def test_without_knowing_whose_the_channels_are_none_is_asked_for(
    stage: Stage, database: Database
) -> None:
    await talk_in(stage, GONE)
    await stage.services.servers.save_setting(BOT_ITSELF, APPLICATION, "1")
    await restart(stage, database)
    assert asked(stage) == []
    assert await is_kept(stage, GONE)
