"""The bot over a real connection: HTTP, gateway, nonces and cut lines as discord.py meets them."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.client.chat_bot import ChatBot
from bot.client.connection import run_client
from bot.delivery.clocks import utc_now
from bot.delivery.ports import MessageGoneError, Part
from bot.dialogue.turn import Scope, Utterance
from bot.settings.settings import Settings
from bot.store.database.database import Database
from bot.store.inbox import SqlInbox
from cogs._discord.courier import DiscordCourier
from cogs._discord.outgoing import Outgoing
from tests.cogs.desk import Clock
from tests.cogs.stage import build_services
from tests.discord_server.faults import Cut, Hold, TooMany, When
from tests.discord_server.server import DiscordServer, serving
from tests.discord_server.state import Channel, Guild, User
from tests.fakes import ScriptedEngine

MESSAGES = "/channels/*/messages"


@dataclass
class Line:
    """A connected bot, and a channel with a member in it."""

    server: DiscordServer
    bot: ChatBot
    engine: ScriptedEngine
    guild: Guild
    general: Channel
    ada: User
    running: "asyncio.Task[None]"
    database: Database

    @property
    def courier(self) -> DiscordCourier:
        outgoing = Outgoing(self.bot.global_limit, self.bot.way_out)
        return DiscordCourier(self.bot, self.bot.services.servers, outgoing)

    def ask(self, text: str = "hello") -> int:
        return self.server.say(self.general, self.ada, text, mention_bot=True)

    async def replies(self, number: int) -> list[str]:
        found = await self.server.wait_replies(self.general, number)
        return [one.content for one in found]


@pytest.fixture
async def line(
    database: Database,
    engine: ScriptedEngine,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Line]:
    async with serving() as server:
        monkeypatch.setattr(Route, "BASE", server.api_url)
        monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(server.gateway.url))
        guild = server.add_guild("Home")
        general, ada = server.add_channel(guild, "general"), server.add_member(guild, "ada")
        bot = ChatBot(build_services(database, engine, settings))
        bot._connection.guild_ready_timeout = 0.05  # seconds after the last server; else 2
        running = asyncio.create_task(run_client(bot, server.token))
        await server.wait_ready()
        yield Line(server, bot, engine, guild, general, ada, running, database)
        engine.gate.set()
        await bot.services.delivery.stop(5.0)
        await bot.close()
        await running
        assert server.violations == []


async def test_a_mention_is_answered_over_the_wire(line: Line) -> None:
    question = line.ask()
    assert await line.replies(1) == ["reply two one"]
    (reply,) = line.server.replies(line.general)
    assert reply.reference is not None
    assert reply.reference.message_id == question
    assert not reply.pinged


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
async def test_a_line_cut_while_sending_leaves_one_reply(line: Line, when: When) -> None:
    line.server.faults.add("POST", MESSAGES, Cut(when=when), times=2)
    line.ask("one")
    line.ask("two")
    assert await line.replies(2) == ["reply two one", "reply three one"]
    assert len(line.server.requests_to("POST", MESSAGES)) == 4


async def all_served(line: Line) -> None:
    """Return when no message waits for its reply, or for a place to send it to."""
    while line.bot.services.delivery.num_pending:  # noqa: ASYNC110  # nothing else tells
        await asyncio.sleep(0.01)


async def waits(line: Line) -> list[float]:
    """For how many seconds Discord wants each reply kept back, oldest first."""
    inbox = SqlInbox(line.database)
    until = [entry.not_before or utc_now() for entry in await inbox.unfinished()]
    return [(moment - utc_now()).total_seconds() for moment in until]


async def test_a_channel_is_left_alone_for_as_long_as_discord_says(line: Line) -> None:
    messages = f"/channels/{line.general.id}/messages"
    limit = line.server.faults.add("POST", messages, TooMany(retry_after=3600.0), times=100)
    line.ask()
    line.ask("and now?")
    await line.engine.wait_until_asked(2)
    await all_served(line)
    assert limit.hits == 1
    assert [3590 < seconds < 3600 for seconds in await waits(line)] == [True, True]
    assert line.bot.way_out.num_waiting == 0  # the watchdog rests, too
    other = line.server.add_channel(line.guild, "other")
    line.server.say(other, line.ada, "and here?", mention_bot=True)
    await line.server.wait_replies(other, 1)


async def test_everything_is_left_alone_where_the_address_is_banned(line: Line) -> None:
    limit = line.server.faults.add("*", "*", TooMany(retry_after=3600.0, via=False), times=1)
    line.ask()
    await line.engine.wait_until_asked(1)
    await all_served(line)
    num_requests = len(line.server.requests)
    other = line.server.add_channel(line.guild, "other")
    line.server.say(other, line.ada, "and here?", mention_bot=True)
    line.server.say(other, line.ada, "", mention_bot=True)  # gets a notice else
    command = line.server.interact("help", channel=other, member=line.ada)
    await line.engine.wait_until_asked(2)
    await all_served(line)
    assert (len(line.server.requests), limit.hits) == (num_requests, 1)
    assert command.callback is None
    assert [3590 < seconds < 3600 for seconds in await waits(line)] == [True, True]


async def test_a_global_limit_that_discord_py_does_not_wait_for_counts_for_all(line: Line) -> None:
    limit = TooMany(retry_after=3600.0, scope="global")
    line.server.faults.add("POST", MESSAGES, limit, times=1)
    line.ask()
    await line.engine.wait_until_asked(1)
    await all_served(line)
    other = line.server.add_channel(line.guild, "other")
    line.server.say(other, line.ada, "and here?", mention_bot=True)
    await line.engine.wait_until_asked(2)
    await all_served(line)
    assert len(line.server.requests_to("POST", MESSAGES)) == 1


async def test_a_repeated_nonce_changes_the_message_that_is_there(line: Line) -> None:
    question = line.ask()
    await line.replies(1)
    (first,) = line.server.replies(line.general)
    again = Part(line.general.id, question, 0, "another text", f"r{question}-0")
    assert await line.courier.send(again) == first.id
    assert await line.replies(1) == ["another text"]


async def test_a_reply_to_a_deleted_message_is_gone(line: Line) -> None:
    question = line.ask()
    await line.replies(1)
    line.server.delete(question)
    with pytest.raises(MessageGoneError):
        await line.courier.send(Part(line.general.id, question, 1, "more", f"r{question}-1"))


async def test_a_question_deleted_while_we_think_gets_no_reply(line: Line) -> None:
    other = line.server.add_channel(line.guild, "other")
    line.engine.gate.clear()
    question = line.ask()
    await line.engine.wait_until_asked(1)
    line.server.delete(question)
    line.server.say(other, line.ada, "and here?", mention_bot=True)
    await line.engine.wait_until_asked(2)  # what came before it was seen, too
    line.engine.gate.set()
    await line.server.wait_replies(other, 1)
    line.ask("and now?")
    assert await line.replies(1) == ["reply four one"]
    assert len(line.server.requests_to("POST", MESSAGES)) == 2


async def test_hanging_typing_does_not_hold_the_reply(line: Line) -> None:
    line.server.faults.add("POST", "/channels/*/typing", Hold())
    line.ask()
    assert await line.replies(1) == ["reply two one"]


async def test_a_send_that_hangs_is_stuck_although_commands_are_answered(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    clock.now = time.monotonic()
    monkeypatch.setattr(line.bot.way_out, "_clock", clock)
    held = line.server.faults.add("POST", MESSAGES, Hold())
    line.ask()
    await line.server.wait_for(lambda: held.hits, what="the message")
    clock.now += 61
    await line.server.interact("privacy", channel=line.general, member=line.ada).answer()
    assert line.bot.way_out.stuck_seconds == 61
    held.release()
    await line.replies(1)
    await all_served(line)
    assert line.bot.way_out.stuck_seconds == 0


async def test_what_was_sent_before_is_found_by_ids_alone(line: Line) -> None:
    question = line.ask()
    line.ask("another")
    await line.replies(2)
    first = line.server.replies(line.general)[0]
    line.bot._connection.clear()
    said = Utterance(question, Scope(line.general.id), line.ada.id, "hello", utc_now())
    line.bot._connection.user = await line.bot.fetch_user(line.server.bot.id)  # type: ignore[assignment]  # only its id is read
    assert await line.courier.sent_parts(said) == [first.id]


async def test_twenty_quick_messages_are_answered_in_order(line: Line) -> None:
    people = [line.server.add_member(line.guild, f"member{number}") for number in range(20)]
    questions = [
        line.server.say(line.general, person, f"number {number}", mention_bot=True)
        for number, person in enumerate(people)
    ]
    await line.replies(20)
    answered = [one.reference for one in line.server.replies(line.general)]
    assert [one and one.message_id for one in answered] == questions


async def test_a_reply_passes_although_its_typing_met_a_global_limit(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """discord.py sleeps inside such a request, and everything else waits until it wakes."""
    monkeypatch.setattr("cogs._discord.courier.TYPING_AFTER_SECONDS", 0.0)
    limit = line.server.faults.add("POST", "*/typing", TooMany(0.3, scope="global"))
    line.engine.gate.clear()
    line.ask()
    await line.server.wait_for(lambda: limit.hits, what="typing")
    line.engine.gate.set()
    assert await line.replies(1) == ["reply two one"]
    line.ask("again")
    assert len(await line.replies(2)) == 2


async def test_a_channel_where_others_talk_a_lot_does_not_use_up_the_look_back(line: Line) -> None:
    """Its newest pages are read, and the other channels too."""
    other = line.server.add_channel(line.guild, "other")
    line.server.say(other, line.ada, "hello", mention_bot=True)
    await line.server.wait_replies(other)
    line.ask()
    await line.replies(1)
    line.server.gateway.accepts = False
    line.server.gateway.drop()
    line.server.gateway.forget_sessions()
    elsewhere = line.server.say(other, line.ada, "are you there?", mention_bot=True)
    for _ in range(51 * 100):
        line.server.say(line.general, line.ada, "not for the bot")
    newest = line.ask("just now")
    line.server.gateway.accepts = True
    await line.server.wait_replies(other, 2)
    await line.replies(2)
    answered = [line.server.replies(one)[1].reference for one in (other, line.general)]
    assert [one.message_id for one in answered if one] == [elsewhere, newest]
