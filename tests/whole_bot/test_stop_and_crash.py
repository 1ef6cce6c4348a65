"""SIGTERM and kill -9 at random moments: nobody waits for ever, and nobody is answered twice.

Two moments each in `make test`; a hundred each in `make soak`, which prints what it saw.
"""

import asyncio
import os
import random
import signal
from collections import Counter

import pytest

from tests.discord_server.bot_process import BotProcess
from tests.discord_server.faults import Hold, When
from tests.discord_server.state import Message
from tests.whole_bot.home import Home

FEW, MANY = 2, 100
STOP_SECONDS = 10.0
# Long enough to be hit while it is drawn; the window of the tiny model bounds it.
SLOW = {"MAX_NEW_TOKENS": "96", "NUM_CANDIDATES": "4"}
LONGEST_SECONDS = 1.5  # from the message until the latest moment


async def strike_at(home: Home, moment: random.Random) -> int:
    """Say something and return at a random moment of its way through the bot."""
    sends = f"/channels/{home.general.id}/messages"
    kind = moment.choice(["time", "time", "time", "typing", "before the send", "after the send"])
    if kind == "before the send":
        hold = home.server.faults.add("POST", sends, Hold(When.BEFORE))
    elif kind == "after the send":
        hold = home.server.faults.add("POST", sends, Hold(When.AFTER))
    else:
        hold = None
    message_id = home.say(f"hello number {moment.randrange(1000)}")
    if kind == "typing":  # or replies, where that is so fast that it needs not type
        typing = f"/channels/{home.general.id}/typing"
        before = len(home.server.requests_to("POST", typing))
        await home.server.wait_for(
            lambda: (
                len(home.server.requests_to("POST", typing)) > before
                or answers_to(home, message_id)
            ),
            timeout=30,
        )
    elif hold is not None:
        await home.server.wait_for(lambda: hold.hits > 0, timeout=30)
    else:
        await asyncio.sleep(moment.uniform(0, LONGEST_SECONDS))
    return message_id


def answers_to(home: Home, message_id: int) -> list[Message]:
    return [
        reply
        for reply in home.server.replies(home.general)
        if reply.reference is not None and reply.reference.message_id == message_id
    ]


def is_noted(home: Home, message_id: int) -> bool:
    """Whether the message stands in the inbox."""
    return bool(home.rows("SELECT 1 FROM inbox WHERE message_id = ?", message_id))


async def check_one_reply_each(home: Home, asked: list[int]) -> None:
    """Everything that was asked has one reply; a later question shows that no second one comes."""
    for message_id in asked:
        await home.reply_to(message_id)
    last = home.say("the end")
    await home.reply_to(last)
    answers = {message_id: answers_to(home, message_id) for message_id in [*asked, last]}
    wrong = {
        message_id: [(one.id, one.nonce, one.content) for one in sent]
        for message_id, sent in answers.items()
        if len(sent) != 1
    }
    assert not wrong
    unfinished = home.rows("SELECT message_id, state FROM inbox WHERE state != 'done'")
    assert all(message_id == last for message_id, _ in unfinished), unfinished


async def crash_again_and_again(home: Home, times: int, seed: int) -> Counter[str]:
    """Kill the bot `times` times while it answers; every message has one reply at the end.

    Also one that the bot got and was killed before it could write it down: the next start looks
    for it in the channel, which was spoken in before.
    """
    moment = random.Random(seed)
    asked: list[int] = []
    seen: Counter[str] = Counter()
    bot = await home.start(SLOW)
    try:
        await home.talk("hello")
        for _ in range(times):
            message_id = await strike_at(home, moment)
            was_sent = bool(answers_to(home, message_id))
            await bot.kill()
            home.server.faults.clear()
            was_noted = is_noted(home, message_id)
            bot = await home.start(SLOW)
            when = "before the send" if was_noted else "before it was noted"
            seen["after the send" if was_sent else when] += 1
            asked.append(message_id)
            await home.reply_to(message_id)
        await check_one_reply_each(home, asked)
    finally:
        await bot.kill()
    return seen


async def stop_again_and_again(home: Home, times: int, seed: int) -> list[float]:
    """Send SIGTERM `times` times while it answers; returns how long each stop took."""
    moment = random.Random(seed)
    asked: list[int] = []
    seconds: list[float] = []
    bot: BotProcess | None = None
    try:
        for _ in range(times):
            bot = await home.start(SLOW)
            if asked:  # handed back by the run before
                await home.reply_to(asked[-1])
            message_id = await strike_at(home, moment)
            # What is held would keep the bot from finishing: the network comes back.
            home.server.faults.clear()
            ended = await bot.send(moment.choice([signal.SIGTERM, signal.SIGINT]))
            assert ended.exit_code == 0, bot.stderr[-3000:]
            assert ended.seconds < STOP_SECONDS
            seconds.append(ended.seconds)
            if is_noted(home, message_id):
                asked.append(message_id)
        bot = await home.start(SLOW)
        await check_one_reply_each(home, asked)
    finally:
        if bot is not None:
            await bot.kill()
    assert "Traceback" not in bot.stderr
    return seconds


async def until_it_holds_the_database(home: Home) -> None:
    """Return when the second start has opened the database: now it loads the model."""
    log = home.folder / "data" / "banter.db-wal"
    while not log.exists():  # noqa: ASYNC110  # a file of another process tells nobody
        await asyncio.sleep(0.01)


async def test_kill_9_at_random_moments_leaves_exactly_one_reply_each(home: Home) -> None:
    seen = await crash_again_and_again(home, FEW, seed=1)
    assert seen.total() == FEW
    assert seen["before the send"] > 0


async def test_a_stop_at_random_moments_ends_well_and_loses_nothing(home: Home) -> None:
    assert len(await stop_again_and_again(home, FEW, seed=2)) == FEW


async def test_signals_that_come_at_once_leave_the_reply_its_time(home: Home) -> None:
    """A terminal tells the whole process group, and a starter hands on what it was told."""
    path = f"/channels/{home.general.id}/messages"
    hold = home.server.faults.add("POST", path, Hold(When.BEFORE))
    async with await home.start() as bot:
        message_id = home.say("hello")
        await home.server.wait_for(lambda: hold.hits > 0, timeout=30)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.kill(bot.pid, number)
        # A file of another process tells nobody that it has grown.
        while bot.running and "Stopping: 1 messages" not in bot.stderr:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        home.server.faults.clear()
        assert (await bot.ended()).exit_code == 0
    assert "Not everything could be closed" not in bot.stderr
    assert len(answers_to(home, message_id)) == 1
    assert home.rows("SELECT state FROM inbox") == [("done",)]


async def test_a_stop_while_it_starts_ends_well(home: Home) -> None:
    async with await home.launch() as bot:
        await home.server.wait_for(lambda: home.server.requests, timeout=60)
        assert (await bot.terminate()).exit_code == 0
    assert "Traceback" not in bot.stderr
    async with await home.launch() as bot:
        await until_it_holds_the_database(home)
        assert (await bot.terminate()).exit_code == 0
    assert "Traceback" not in bot.stderr


async def test_a_lost_connection_is_resumed_and_nothing_is_answered_twice(home: Home) -> None:
    async with await home.start():
        first = home.say("before")
        await home.reply_to(first)
        home.server.gateway.drop()
        second = home.say("while it was away")
        await home.reply_to(second)
        home.server.gateway.invalidate()
        await home.server.wait_ready(2, timeout=30)
        home.server.redeliver(first)
        third = home.say("after")
        await home.reply_to(third)
    assert [len(answers_to(home, one)) for one in (first, second, third)] == [1, 1, 1]


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("ahead_seconds", [0, 600, -600], ids=["right", "slow", "fast"])
async def test_soak_kill_9_a_hundred_times_whatever_our_clock_shows(
    home: Home, capsys: pytest.CaptureFixture[str], ahead_seconds: int
) -> None:
    home.server.clock.advance(ahead_seconds)  # so that the bot's own clock is behind by it
    seen = await crash_again_and_again(home, MANY, seed=3 + ahead_seconds)
    with capsys.disabled():
        print(
            f"\nkill -9: {MANY} times, Discord's clock {ahead_seconds:+} s, {dict(seen)}: one "
            "reply to each message"
        )


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_soak_sigterm_a_hundred_times(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = sorted(await stop_again_and_again(home, MANY, seed=4))
    with capsys.disabled():
        print(
            f"\nSIGTERM or Ctrl-C: {MANY} times, exit 0 each, median {seconds[MANY // 2]:.1f} s, "
            f"longest {seconds[-1]:.1f} s: one reply to each message"
        )
