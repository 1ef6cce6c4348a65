"""Events that discord.py cannot read: the bot lives through them, and answers what comes next."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import discord
import pytest

from bot.client.chat_bot import ChatBot
from bot.client.connection import run_client
from bot.client.event_guard import TELL_SECONDS, EventGuard
from bot.settings.settings import Settings
from bot.store.database.database import Database
from tests.cogs.stage import build_services
from tests.discord_server import gateway
from tests.discord_server.odd_events import WORD, EventSamples, odd
from tests.discord_server.payloads import channel_payload, guild_payload, role_payload
from tests.discord_server.permissions import TALKING
from tests.discord_server.schema import OPENAPI
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import ChannelType, Json
from tests.fakes import ScriptedEngine


@asynccontextmanager
async def connected(bot: ChatBot, server: DiscordServer) -> AsyncIterator[asyncio.Task[None]]:
    """The bot on the local Discord; what would end it ends the block."""
    running = asyncio.create_task(run_client(bot, server.token))
    try:
        await server.wait_ready()
        yield running
    finally:
        await bot.services.delivery.stop(5.0)
        await bot.close()
        await running


@pytest.fixture
def bot(database: Database, engine: ScriptedEngine, settings: Settings) -> ChatBot:
    return ChatBot(build_services(database, engine, settings))


@pytest.fixture
def document() -> Json:
    if not OPENAPI.is_file():
        pytest.skip(f"no events can be drawn: there is no {OPENAPI}")
    found: Json = json.loads(OPENAPI.read_bytes())
    return found


async def test_whatever_field_an_event_lacks_the_bot_goes_on(
    bot: ChatBot, server: DiscordServer, document: Json, caplog: pytest.LogCaptureFixture
) -> None:
    home, elsewhere = server.add_guild("Home"), server.add_guild("Elsewhere")
    general, ada = server.add_channel(home), server.add_member(home, "ada")
    channel = server.add_channel(elsewhere, "odd")
    ids = {
        "id": server.world.ids.next(),
        "guild_id": elsewhere.id,
        "channel_id": channel.id,
        "thread_id": server.world.add_channel(
            elsewhere, "aside", ChannelType.PUBLIC_THREAD, parent=channel
        ).id,
        "message_id": server.world.ids.next(),
        "user_id": ada.id,
        "role_id": elsewhere.id,
        "application_id": server.world.application_id,
    }
    events = EventSamples(document, ids).events()
    payloads = [(name, less) for name, whole in events.items() for less in odd(whole)]
    assert len(payloads) > 1000
    with caplog.at_level(logging.WARNING):
        async with connected(bot, server):
            for name, payload in payloads:
                server.platform.hub.dispatch(name, payload)
            server.say(general, ada, "hello", mention_bot=True)
            await server.wait_replies(general)
            server.say(server.direct_channel(ada), ada, "and here")
            await server.wait_replies(server.direct_channel(ada))
    assert bot.events.num_unread > 150
    assert WORD not in caplog.text


async def test_an_embed_that_was_taken_away_ends_nothing(
    bot: ChatBot, server: DiscordServer, caplog: pytest.LogCaptureFixture
) -> None:
    guild = server.add_guild("Home")
    general, ada = server.add_channel(guild), server.add_member(guild, "ada")
    payload: Json = {"channel_id": str(general.id), "guild_id": str(guild.id), "embeds": []}
    async with connected(bot, server):
        for _ in range(3):
            message_id = server.world.ids.next()
            server.platform.hub.dispatch("MESSAGE_UPDATE", {**payload, "id": str(message_id)})
        server.say(general, ada, "hello", mention_bot=True)
        await server.wait_replies(general)
    (line,) = [one for one in caplog.messages if "could not be read" in one]
    assert line.startswith("An event of Discord could not be read: MESSAGE_UPDATE (KeyError in ")
    assert f"channel {general.id}" in line
    assert bot.events.num_unread == 3


@pytest.mark.parametrize("event", ["GUILD_CREATE", "GUILD_UPDATE", "CHANNEL_UPDATE"])
async def test_what_is_known_of_a_place_outlives_half_an_event(
    bot: ChatBot, server: DiscordServer, event: str
) -> None:
    guild = server.add_guild("Home")
    general, ada = server.add_channel(guild), server.add_member(guild, "ada")
    role = server.add_role(guild, "trusted", TALKING)
    half: Json = {
        **guild_payload(guild, server.bot),
        "name": "half",
        "roles": [{**role_payload(role), "id": str(guild.id)}, {"id": "7"}],
    }
    if event == "CHANNEL_UPDATE":
        broken = [{"id": str(guild.id), "type": 0, "allow": "0", "deny": "-"}]
        half = {**channel_payload(general, server.bot), "permission_overwrites": broken}
        half["name"] = "half"
    async with connected(bot, server):
        server.say(general, ada, "hello", mention_bot=True)
        await server.wait_replies(general)
        channel = bot.get_channel(general.id)
        assert isinstance(channel, discord.TextChannel)
        before = (channel.name, channel.permissions_for(channel.guild.me), channel.guild.name)
        server.platform.hub.dispatch(event, half)
        server.say(general, ada, "hello again", mention_bot=True)
        await server.wait_replies(general, 2)
        assert bot.events.num_unread == 1
        assert before == (
            channel.name,
            channel.permissions_for(channel.guild.me),
            channel.guild.name,
        )


async def test_a_server_that_cannot_be_read_at_all_is_answered_in(
    bot: ChatBot, server: DiscordServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    guild = server.add_guild("Home")
    general, ada = server.add_channel(guild), server.add_member(guild, "ada")
    whole = guild_payload(guild, server.bot)
    odd_one = {**whole, "roles": [{"id": str(guild.id)}]}
    monkeypatch.setattr(gateway, "guild_payload", lambda *_: odd_one)
    async with connected(bot, server):
        server.say(general, ada, "hello", mention_bot=True)
        await server.wait_replies(general)
    assert bot.events.num_unread == 1


async def test_each_kind_is_told_of_again_after_a_while(
    bot: ChatBot, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = [0.0]
    guard = EventGuard(clock=lambda: seconds[0])

    def broken(payload: object) -> None:
        raise KeyError(payload)

    read = guard.guarded("CHANNEL_UPDATE", broken, bot)
    other = guard.guarded("CHANNEL_CREATE", broken, bot)
    for moment in (0.0, 1.0, TELL_SECONDS + 1.0):
        seconds[0] = moment
        read({"id": "7", "name": WORD})
    other(WORD)
    assert guard.num_unread == 4
    told = [one for one in caplog.messages if "could not be read" in one]
    assert [one.count("CHANNEL_UPDATE") for one in told] == [1, 1, 0]
    assert WORD not in caplog.text


async def test_the_first_event_of_a_connection_is_not_guarded(
    bot: ChatBot, server: DiscordServer
) -> None:
    """Without READY the bot would be connected and hear nothing: the start has to fail."""
    running = asyncio.create_task(run_client(bot, server.token))
    await server.wait_ready()
    server.platform.hub.dispatch("READY", {"session_id": "x", "resume_gateway_url": server.url})
    with pytest.raises(KeyError):
        await running
