"""What is compared with Discord's moments goes by Discord's clock, whatever the machine's says."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from bot.client.chat_bot import ChatBot
from bot.client.discord_clock import DiscordClock
from bot.client.http_trace import tracing
from bot.delivery.clocks import utc_now
from bot.dialogue.turn import Scope, Utterance
from bot.settings.settings import Settings
from bot.store.database.database import Database
from bot.store.inbox import SqlInbox
from tests.client.test_event_guard import connected
from tests.cogs.stage import build_services
from tests.discord_server.server import DiscordServer
from tests.discord_server.state import Channel, User
from tests.fakes import ScriptedEngine

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Machine:
    """A clock that a test sets, and seconds that only pass."""

    def __init__(self) -> None:
        self.says = NOON
        self.seconds = 0.0

    def passes(self, seconds: float) -> None:
        self.says += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> DiscordClock:
    return DiscordClock(lambda: machine.says, lambda: machine.seconds)


@asynccontextmanager
async def asking(
    clock: DiscordClock, server: DiscordServer
) -> AsyncIterator[aiohttp.ClientSession]:
    """A session whose answers the clock looks at."""
    async with aiohttp.ClientSession(server.url, trace_configs=[tracing(clock.look)]) as session:
        yield session


def is_near(moment: datetime, other: datetime, seconds: float = 2.0) -> bool:
    return abs(moment - other) <= timedelta(seconds=seconds)


def test_before_discord_has_told_its_time_it_is_the_machines(
    clock: DiscordClock, machine: Machine
) -> None:
    assert clock.now() == NOON
    machine.passes(60)
    assert clock.now() == NOON + timedelta(seconds=60)
    assert not clock.known.is_set()


async def test_an_answer_of_discord_sets_it_right(
    clock: DiscordClock, machine: Machine, server: DiscordServer
) -> None:
    async with asking(clock, server) as session, session.get("/api/v10/gateway"):
        pass
    assert clock.known.is_set()
    assert is_near(clock.now(), server.clock.moment())
    machine.says += timedelta(days=3650)
    machine.seconds += 10
    assert is_near(clock.now(), server.clock.moment() + timedelta(seconds=10))


async def test_the_newest_answer_counts(
    clock: DiscordClock, machine: Machine, server: DiscordServer
) -> None:
    """The seconds of a machine may stand still while it sleeps."""
    async with asking(clock, server) as session:
        for _ in range(2):
            async with session.get("/api/v10/gateway"):
                assert is_near(clock.now(), server.clock.moment())
            server.clock.advance(7200)


async def test_an_answer_that_agrees_moves_nothing(
    clock: DiscordClock, machine: Machine, server: DiscordServer
) -> None:
    machine.says = utc_now()
    async with asking(clock, server) as session:
        for _ in range(3):
            async with session.get("/api/v10/gateway"):
                assert clock.now() == machine.says
            machine.passes(0.2)


def test_an_answer_without_a_time_is_none(clock: DiscordClock) -> None:
    for date in ("", "yesterday", "Sun, 99 Mar 2026 12:00:00 GMT"):
        clock.told(date, 0.0)
    assert clock.now() == NOON
    assert not clock.known.is_set()


def test_an_answer_that_took_long_is_late_and_not_wrong(clock: DiscordClock) -> None:
    clock.heard(NOON + timedelta(minutes=9))
    clock.told("Sun, 01 Mar 2026 12:00:00 GMT", 600.0)
    assert clock.now() == NOON + timedelta(minutes=9)


def test_it_is_never_behind_a_message_that_was_just_written(
    clock: DiscordClock, machine: Machine
) -> None:
    clock.heard(NOON + timedelta(hours=2))
    assert clock.now() == NOON + timedelta(hours=2)
    machine.passes(5)
    clock.heard(NOON)
    assert clock.now() == NOON + timedelta(hours=2, seconds=5)


async def test_a_clock_that_is_off_is_told_once_for_each_way_it_is_off(
    clock: DiscordClock, machine: Machine, server: DiscordServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "bot.client.discord_clock"):
        async with asking(clock, server) as session:
            for seconds in (-7200, -7200, 300, 300, 0, 0, 20, 40):
                machine.says = server.clock.moment() + timedelta(seconds=seconds)
                async with session.get("/api/v10/gateway"):
                    pass
    told = [one.split("(")[0] for one in caplog.messages]
    begins = ["The clock of this machine is 7", "The clock of this machine is 300 s ahead"]
    begins += ["The clock of this machine is that of", "The clock of this machine is 40 s ahead"]
    assert len(told) == len(begins), told
    assert all(line[:28] == begin[:28] for line, begin in zip(told, begins, strict=True))


def started_by(
    machine_is_ahead: timedelta, database: Database, engine: ScriptedEngine, settings: Settings
) -> ChatBot:
    """The bot on a machine whose clock is off."""
    clock = DiscordClock(lambda: utc_now() + machine_is_ahead)
    return ChatBot(build_services(database, engine, settings, clock.now), clock=clock)


@pytest.fixture
def home(server: DiscordServer) -> tuple[Channel, User]:
    guild = server.add_guild("Home")
    return server.add_channel(guild), server.add_member(guild, "ada")


@pytest.mark.parametrize("hours", [-2, 2])
async def test_a_wrong_clock_does_not_end_a_conversation(
    server: DiscordServer,
    home: tuple[Channel, User],
    database: Database,
    engine: ScriptedEngine,
    settings: Settings,
    hours: int,
) -> None:
    general, ada = home
    bot = started_by(timedelta(hours=hours), database, engine, settings)
    async with connected(bot, server):
        for number in (1, 2):
            server.say(general, ada, f"hello {number}", mention_bot=True)
            await server.wait_replies(general, number)
    first, second = engine.asked
    assert len(second.prompt_ids) > 2 * len(first.prompt_ids)


async def test_what_waits_is_answered_after_a_restart_by_a_clock_that_is_fast(
    server: DiscordServer,
    home: tuple[Channel, User],
    database: Database,
    engine: ScriptedEngine,
    settings: Settings,
) -> None:
    general, ada = home
    message_id = server.say(general, ada, "hello", mention_bot=True)
    assert general.guild is not None
    waiting = Utterance(
        message_id, Scope(general.id), ada.id, "hello", utc_now(), guild_id=general.guild.id
    )
    await SqlInbox(database).record(waiting)
    bot = started_by(timedelta(minutes=5), database, engine, settings)
    async with connected(bot, server):
        (reply,) = await server.wait_replies(general)
    assert reply.reference is not None
    assert reply.reference.message_id == message_id
