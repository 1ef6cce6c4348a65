"""Servers and languages, on both databases."""

from typing import Any

import pytest

from bot.answering.ports import Head
from bot.dialogue.sampling import Layer, Place
from bot.dialogue.turn import Scope
from bot.errors import StoreUnavailableError
from bot.ports import KeptChannel
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.sampling import SqlSampling
from bot.store.servers import SqlServers
from tests.store.talk import CHANNEL, GUILD, Clock, count, rows, said, talk

OTHER = Scope(601)
DIRECT = Scope(700)


@pytest.fixture
def servers(database: Database, clock: Clock) -> SqlServers:
    return SqlServers(database, clock=clock)


async def test_a_setting_is_kept_by_server_and_name(servers: SqlServers) -> None:
    assert await servers.setting(1, "language") is None
    await servers.save_setting(1, "language", "ko")
    await servers.save_setting(2, "language", "en")
    await servers.save_setting(1, "language", "en")
    await servers.save_setting(0, "commands", "abc")
    assert await servers.setting(1, "language") == "en"
    assert await servers.setting(0, "commands") == "abc"
    assert await servers.setting(1, "commands") is None


async def test_a_locale_is_written_only_when_it_changed(
    database: Database, servers: SqlServers, clock: Clock
) -> None:
    await servers.save_locale(7, "ko")
    first = (await rows(database, tables.member_locale))[0]["saved_at"]
    clock.move(hours=1)
    await servers.save_locale(7, "ko")
    assert (await rows(database, tables.member_locale))[0]["saved_at"] == first
    await servers.save_locale(7, "en-GB")
    assert await servers.locale(7) == "en-GB"
    assert await servers.locale(8) is None
    assert (await rows(database, tables.member_locale))[0]["saved_at"] == clock.now


async def fill(database: Database, history: SqlHistory, inbox: SqlInbox) -> None:
    """Two servers, each with a channel, a message on its way and settings."""
    sampling = SqlSampling(database)
    servers = SqlServers(database)
    for number, (scope, guild) in enumerate([(CHANNEL, GUILD), (OTHER, 901)], start=1):
        place = Place(guild, scope.channel_id, 7)
        await inbox.record(said(number, scope=scope, guild_id=guild))
        await talk(history, said(number, scope=scope, guild_id=guild))
        await inbox.record(said(number + 10, scope=scope, guild_id=guild))
        await inbox.record_part(number + 10, 0, number + 20)
        for layer in (Layer.SERVER, Layer.CHANNEL, Layer.MEMBER):
            await sampling.save(layer, place, {"temperature": 0.5})
        await servers.save_setting(guild, "language", "ko")
    await servers.save_setting(0, "commands", "abc")


@pytest.mark.parametrize("channels", [[], [500, 777]])
async def test_leaving_a_server_purges_it_and_nothing_else(
    database: Database,
    history: SqlHistory,
    inbox: SqlInbox,
    servers: SqlServers,
    channels: list[int],
) -> None:
    await fill(database, history, inbox)
    await servers.purge_server(GUILD, channels)
    for table in (tables.turn, tables.conversation):
        assert {row["channel_id"] for row in await rows(database, table)} == {601}
    noted = [(row["message_id"], row["channel_id"]) for row in await rows(database, tables.inbox)]
    assert noted == [(1, 0), (2, 601), (11, 0), (12, 601)]  # nameless marks of what was not done
    overrides = await rows(database, tables.sampling_override)
    assert [row["guild_id"] for row in overrides] == [901] * 3
    assert [row["message_id"] for row in await rows(database, tables.reply_message)] == [22]
    assert await servers.setting(GUILD, "language") is None
    assert await servers.setting(901, "language") == "ko"
    assert await servers.setting(0, "commands") == "abc"
    assert await history.head(CHANNEL) == Head()


async def test_the_bot_itself_cannot_be_purged(servers: SqlServers) -> None:
    with pytest.raises(ValueError, match="bot itself"):
        await servers.purge_server(0, [])


async def test_a_channel_that_is_gone_takes_its_rows_along(
    database: Database, history: SqlHistory, inbox: SqlInbox, servers: SqlServers
) -> None:
    await fill(database, history, inbox)
    await servers.purge_channel(500)
    assert await count(database, tables.turn) == 2
    assert await count(database, tables.conversation) == 1
    left = {row["layer"] for row in await rows(database, tables.sampling_override)}
    assert left == {"server", "channel", "member"}
    assert await servers.setting(GUILD, "language") == "ko"


async def test_a_channel_takes_the_words_of_its_threads_along(
    database: Database, history: SqlHistory, inbox: SqlInbox, servers: SqlServers
) -> None:
    for number, (channel_id, parent_id) in enumerate(
        [(500, None), (70, 500), (80, 601), (601, None)]
    ):
        place: dict[str, Any] = {"scope": Scope(channel_id), "parent_channel_id": parent_id}
        await talk(history, said(number, **place))
        await inbox.record(said(number + 10, **place))
    await inbox.record(said(20, scope=Scope(71), parent_channel_id=500))
    await servers.purge_channel(500)
    for table in (tables.turn, tables.conversation):
        assert {row["channel_id"] for row in await rows(database, table)} == {80, 601}
    noted = [(row["message_id"], row["channel_id"]) for row in await rows(database, tables.inbox)]
    assert noted == [(10, 0), (11, 0), (12, 80), (13, 601), (20, 0)]


async def test_every_channel_of_a_server_of_which_something_is_kept_is_named_with_its_parent(
    database: Database, history: SqlHistory, inbox: SqlInbox, servers: SqlServers
) -> None:
    await talk(history, said(1, scope=Scope(500)))
    await talk(history, said(2, scope=Scope(70), parent_channel_id=500))
    await talk(history, said(3, scope=Scope(71, 7)))
    await talk(history, said(4, scope=DIRECT, guild_id=None))
    await inbox.record(said(5, scope=Scope(72), parent_channel_id=500))
    await SqlSampling(database).save(Layer.CHANNEL, Place(901, 601, 7), {"temperature": 0.5})
    for table in (tables.turn, tables.conversation):  # as an older version left it
        old = table.update().where(table.c.channel_id == 71).values(parent_channel_id=None)
        await database.execute(old)
    kept = [(70, GUILD, 500), (71, GUILD, None), (72, GUILD, 500), (500, GUILD, 0), (601, 901, 0)]
    assert await servers.channels() == [KeptChannel(*one) for one in kept]
    await servers.save_parent(71, 500)
    await servers.save_parent(70, 999)  # known already
    kept[1] = (71, GUILD, 500)
    assert await servers.channels() == [KeptChannel(*one) for one in kept]
    parents = {
        row["channel_id"]: row["parent_channel_id"] for row in await rows(database, tables.turn)
    }
    assert parents == {500: 0, 70: 500, 71: 500, DIRECT.channel_id: 0}


async def test_a_purge_that_did_not_come_to_its_end_is_taken_up_again(
    database: Database, history: SqlHistory, servers: SqlServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await talk(history, said(1, scope=Scope(70), parent_channel_id=500))

    async def fail(*_: object) -> int:
        raise StoreUnavailableError

    with monkeypatch.context() as patched:
        patched.setattr("bot.store.servers.delete_turns", fail)
        with pytest.raises(StoreUnavailableError):
            await servers.purge_channel(500)
    assert [one.channel_id for one in await servers.channels()] == [70]
    await servers.purge_channel(500)
    assert await rows(database, tables.turn) == []
    assert await servers.channels() == []


async def test_more_turns_than_one_batch_are_purged(
    database: Database, history: SqlHistory, servers: SqlServers
) -> None:
    await talk(history, said(1))
    (user, _) = await rows(database, tables.turn)
    del user["id"]
    many = [user] * 1100
    await database.write(lambda connection: connection.execute(tables.turn.insert(), many))
    await servers.purge_channel(500)
    assert await count(database, tables.turn) == 0


async def test_every_server_of_which_something_is_kept_is_named_once(
    database: Database, history: SqlHistory, inbox: SqlInbox, servers: SqlServers
) -> None:
    assert await servers.servers() == []
    await fill(database, history, inbox)
    await inbox.record(said(50, scope=Scope(602), guild_id=None))
    await servers.save_setting(77, "language", "ko")
    assert await servers.servers() == [77, GUILD, 901]
    await servers.purge_server(GUILD, [])
    assert await servers.servers() == [77, 901]
