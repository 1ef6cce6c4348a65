"""The gateway as discord.py meets it."""

import asyncio
from datetime import UTC, datetime

import discord
import pytest
from discord.backoff import ExponentialBackoff

from tests.discord_server.bare_client import BareClient, connected, run_until_closed
from tests.discord_server.intents import Intent
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Channel, Guild, User


async def test_client_becomes_ready_with_its_guild_and_channel(
    server: DiscordServer, client: BareClient, general: Channel
) -> None:
    assert client.user is not None
    assert client.user.id == server.bot.id
    channel = client.get_channel(general.id)
    assert isinstance(channel, discord.TextChannel)
    assert channel.guild.name == "Home"
    assert [Intent.MESSAGE_CONTENT in one.intents for one in server.gateway.identifies] == [False]


async def test_wrong_token_is_refused_at_login(server: DiscordServer) -> None:
    with pytest.raises(discord.LoginFailure):
        await run_until_closed(BareClient(), "wrong")
    assert [one.status for one in server.requests] == [401]
    assert server.gateway.identifies == []


async def test_intent_that_is_not_enabled_in_the_portal_closes_with_4014(
    server: DiscordServer,
) -> None:
    intents = discord.Intents.default()
    intents.message_content = True
    with pytest.raises(discord.PrivilegedIntentsRequired):
        await run_until_closed(BareClient(intents), server.token)


async def test_enabled_intent_is_accepted(server: DiscordServer) -> None:
    server.enable_in_portal(Intent.MESSAGE_CONTENT)
    intents = discord.Intents.default()
    intents.message_content = True
    client = BareClient(intents)
    running = connected(client, server.token)
    await server.wait_ready()
    await client.close()
    await running


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013])
async def test_fatal_close_code_at_identify_ends_the_client(
    server: DiscordServer, code: int
) -> None:
    server.gateway.refuses_identify_with = [code]
    with pytest.raises(discord.ConnectionClosed) as caught:
        await run_until_closed(BareClient(), server.token)
    assert caught.value.code == code


async def test_events_missed_while_disconnected_are_replayed_in_order(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    heard = server.say(general, ada, "before", mention_bot=True)
    await client.hears(heard)
    server.gateway.drop()
    missed = [server.say(general, ada, f"{n}", mention_bot=True) for n in range(5)]
    await client.until_event("resumed")
    assert [message.id for message in client.heard] == [heard, *missed]
    assert len(server.gateway.identifies) == 1
    assert server.gateway.sessions[0].num_resumes == 1


async def test_reconnect_request_is_followed_by_a_resume(
    server: DiscordServer, client: BareClient
) -> None:
    server.gateway.ask_to_reconnect()
    await client.until_event("resumed")
    assert len(server.gateway.identifies) == 1


async def test_close_with_a_harmless_code_is_followed_by_a_resume(
    server: DiscordServer, client: BareClient
) -> None:
    server.gateway.close(4000)
    await client.until_event("resumed")
    assert len(server.gateway.identifies) == 1


async def test_invalid_session_makes_the_client_identify_again(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    server.gateway.invalidate()
    lost = server.say(general, ada, "said between two sessions", mention_bot=True)
    await server.wait_ready(2)
    heard = server.say(general, ada, "said after", mention_bot=True)
    await client.hears(heard)
    assert lost not in {message.id for message in client.heard}


async def test_resume_of_a_forgotten_session_makes_the_client_identify_again(
    server: DiscordServer, client: BareClient
) -> None:
    server.gateway.forget_sessions()
    server.gateway.drop()
    await server.wait_ready(2)
    await client.until_event("ready", 2)
    assert len(server.gateway.identifies) == 2


async def test_closed_client_leaves_no_connection_behind(
    server: DiscordServer, client: BareClient
) -> None:
    await client.close()
    await server.wait_for(lambda: server.gateway.num_open == 0, what="no connection")


async def test_heartbeats_are_acknowledged_until_the_test_says_otherwise(
    server: DiscordServer, client: BareClient
) -> None:
    latency = client.latency
    assert 0.0 < latency < 5.0
    server.gateway.acknowledges = False
    before = server.gateway.num_heartbeats
    server.gateway.ask_for_heartbeat()
    await server.wait_for(lambda: server.gateway.num_heartbeats > before)
    assert client.latency == latency


async def test_event_can_be_delivered_again(
    server: DiscordServer, client: BareClient, general: Channel, ada: User
) -> None:
    message_id = server.say(general, ada, "hello", mention_bot=True)
    server.redeliver(message_id, times=2)
    await client.until_event("message", 3)
    assert [message.id for message in client.heard] == [message_id] * 3


async def test_leaving_a_guild_and_deleting_a_channel_are_announced(
    server: DiscordServer, client: BareClient, guild: Guild, general: Channel
) -> None:
    server.delete_channel(general)
    removed = await client.until_event("guild_channel_delete")
    assert removed.id == general.id
    server.leave_guild(guild)
    left = await client.until_event("guild_remove")
    assert left.id == guild.id


async def test_sharded_client_gets_each_guild_on_its_shard(
    server: DiscordServer, guild: Guild
) -> None:
    guilds = [guild]
    while len({one.id >> 22 & 1 for one in guilds}) < 2:
        server.clock.advance(0.001)
        guilds.append(server.add_guild())
    client = ShardedClient(
        intents=discord.Intents.default(), shard_count=2, guild_ready_timeout=0.05
    )
    async with client:
        running = asyncio.create_task(client.start(server.token))
        await server.wait_ready(2)
        await client.wait_until_ready()
        assert [one.shard_id for one in server.gateway.identifies] == [0, 1]
        assert {one.id: one.shard_id for one in client.guilds} == {
            one.id: one.id >> 22 & 1 for one in guilds
        }
    await running


class ShardedClient(discord.AutoShardedClient):
    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Identify at once: discord.py would wait for five seconds."""


async def test_outage_of_a_guild_is_not_the_end_of_it(
    server: DiscordServer, client: BareClient, guild: Guild
) -> None:
    server.lose_guild(guild)
    await client.until_event("guild_unavailable")
    server.recover_guild(guild)
    await client.until_event("guild_available", 2)
    assert "guild_remove" not in {name for name, _ in client.events}


async def test_client_comes_back_after_the_gateway_was_away(
    server: DiscordServer,
    client: BareClient,
    general: Channel,
    ada: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ExponentialBackoff, "delay", lambda _: 0.0)
    server.gateway.accepts = False
    server.gateway.drop()
    missed = server.say(general, ada, "hello", mention_bot=True)
    await client.until_event("disconnect", 2)
    server.gateway.accepts = True
    await client.hears(missed)


async def test_ids_grow_and_carry_the_time(server: DiscordServer, general: Channel) -> None:
    ids = [server.say(general, server.bot, "x") for _ in range(100)]
    assert ids == sorted(set(ids))
    age = datetime.now(UTC) - discord.utils.snowflake_time(ids[-1])
    assert abs(age.total_seconds()) < 60
