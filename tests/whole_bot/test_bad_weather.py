"""Discord refuses and cuts off requests at random: every message is answered, and once."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest

from tests.discord_server.exchange import Call
from tests.discord_server.faults import Cut, Kind, TooMany, When
from tests.discord_server.state import Channel, User
from tests.whole_bot.home import Home

NUM_PEOPLE, NUM_MESSAGES = 20, 100  # of each of them
SHARE = 0.05  # of all requests, for each of the faults
ALL_SECONDS = 3000.0


def weather(dice: random.Random, seen: Counter[str]) -> Callable[[Call], Kind | None]:
    """What decides for each request whether something goes wrong, and notes what does."""

    def fault(call: Call) -> Kind | None:
        if call.method != "POST" or not call.path.startswith("/channels/"):
            return None
        kinds: dict[str, Kind] = {
            "global 429s": TooMany(dice.uniform(0.05, 0.3), scope="global"),
            "429s of a channel": TooMany(dice.uniform(0.05, 0.3)),
            "resets": Cut(dice.choice(list(When))),
        }
        drawn = int(dice.random() / SHARE)
        if drawn >= len(kinds):
            return None
        name = list(kinds)[drawn]
        seen[name] += 1
        return kinds[name]

    return fault


async def talk(home: Home, person: User, channel: Channel) -> list[int]:
    """Say something, wait for the reply, and again; the ids of the messages."""
    asked = []
    for number in range(NUM_MESSAGES):
        text = f"hello {number}"
        asked.append(home.server.say(channel, person, text, mention_bot=True))
        await home.reply_to(asked[-1], channel)
    return asked


@pytest.mark.soak
@pytest.mark.timeout(ALL_SECONDS)
async def test_soak_two_thousand_messages_in_bad_weather(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Counter[str]()
    async with await home.start({"MAX_NEW_TOKENS": "8", "MAX_QUEUE": "200"}) as bot:
        home.server.faults.weather = weather(random.Random(1), seen)
        talks = (
            talk(
                home,
                home.server.add_member(home.guild, f"member{number}"),
                home.server.add_channel(home.guild, f"room-{number}"),
            )
            for number in range(NUM_PEOPLE)
        )
        asked = [message_id for one in await asyncio.gather(*talks) for message_id in one]
        home.server.faults.clear()
        assert (await bot.terminate()).exit_code == 0
    replies = Counter(one.reference.message_id for one in home.server.sent if one.reference)
    assert replies == Counter(asked)
    with capsys.disabled():
        print(f"\n{len(asked)} messages with {dict(seen)}: lost 0, doubled 0")
