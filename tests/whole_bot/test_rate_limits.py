"""Discord allows fewer requests than the bot would make: every message is answered all the same."""

import asyncio
from collections import Counter

import pytest

from tests.whole_bot.home import Home

NUM_MESSAGES = 2  # of each person
ALL_SECONDS = 60.0
# Some replies take long enough for typing to be shown.
ENV = {"MIN_NEW_TOKENS": "16", "MAX_NEW_TOKENS": "24", "MAX_QUEUE": "200"}


def ask(home: Home, num_people: int) -> list[int]:
    """Everybody asks in a channel of their own, everything at once; the ids of the messages."""
    asked = []
    for number in range(num_people):
        channel = home.server.add_channel(home.guild, f"room-{number}")
        person = home.server.add_member(home.guild, f"member{number}")
        asked += [
            home.server.say(channel, person, f"hello {again}", mention_bot=True)
            for again in range(NUM_MESSAGES)
        ]
    return asked


async def answers(home: Home, num_asked: int) -> Counter[int]:
    """How many replies each message has, once there are as many replies as messages."""

    def found() -> Counter[int] | None:
        replied = [one.reference.message_id for one in home.server.sent if one.reference]
        return Counter(replied) if len(replied) >= num_asked else None

    return await home.server.wait_for(found, timeout=ALL_SECONDS, what=f"{num_asked} replies")


async def ask_for_status(home: Home) -> None:
    """Ask for /status, and again when the answer is there."""
    while True:
        command = home.server.interact("status", channel=home.general, member=home.ada)
        await command.answer()
        assert not command.was_late


async def test_every_message_is_answered_once_where_twelve_requests_a_second_are_allowed(
    home: Home,
) -> None:
    async with await home.start(ENV) as bot:
        home.server.limits.per_second = 12
        asked = ask(home, 12)
        assert await answers(home, len(asked)) == Counter(asked)
        home.server.limits.per_second = None
        assert (await bot.terminate()).exit_code == 0
    assert [one for one in home.server.requests if one.status == 429]


async def test_commands_are_answered_in_time_while_thirty_people_meet_the_limit(
    home: Home,
) -> None:
    async with await home.start(ENV) as bot:
        home.server.limits.per_second = 50
        asked = ask(home, 30)
        status = asyncio.create_task(ask_for_status(home))
        assert await answers(home, len(asked)) == Counter(asked)
        status.cancel()
        with pytest.raises(asyncio.CancelledError):
            await status
        assert (await bot.terminate()).exit_code == 0
