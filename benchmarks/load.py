"""The whole bot as a process of its own under many people, against a local Discord.

Everybody thinks for a while, says something, waits for the reply and goes on; with `--at-once`
nobody thinks or waits. Without thinking 30 people ask for more than Discord lets a bot send (50
requests a second), and what is measured is the queue. The bot's engine and its event loop are
watched from within: what a reply took beyond the engine's own time is everybody else's: gateway,
database, tokenizer, guards, sending, waiting for the loop.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.readiness import READY
from benchmarks.serving.report import percentile
from benchmarks.serving.sentences import SENTENCES
from benchmarks.serving.watched_bot import NOTES
from tests.discord_server.bot_process import BotProcess
from tests.discord_server.server import DiscordServer, serving
from tests.discord_server.state import Channel, Message, User

REPLY_SECONDS = 300.0
LINGER_SECONDS = 1.0  # in which a second reply to a message would come
TARGET_LAG_MS, TARGET_OTHERS_MS = 50.0, 30.0
PROGRAM = ("-m", "benchmarks.serving.watched_bot")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message and when it was said; moments are those of time.monotonic()."""

    message_id: int
    channel_id: int
    said_at: float


@dataclass(slots=True)
class Heard:
    """What the bot sent, as it came. `answered_at`: of the first part of each reply."""

    answered_at: dict[int, float] = field(default_factory=dict)
    num_sentences: int = 0
    _parts: Counter[str] = field(default_factory=Counter)

    def take(self, message: Message, at: float) -> int | None:
        """Note what came; the message that it answers, None for a sentence.

        A reply's nonce is r, the message it answers, and its part.
        """
        if message.reference is None or not (message.nonce or "").startswith("r"):
            self.num_sentences += 1
            return None
        self._parts[message.nonce or ""] += 1
        self.answered_at.setdefault(message.reference.message_id, at)
        return message.reference.message_id

    @property
    def num_doubled(self) -> int:
        """Parts of replies that came more than once."""
        return sum(number > 1 for number in self._parts.values())


@dataclass(frozen=True, slots=True)
class Waits:
    """Of every reply, in ms: all of it, and what was not spent in the engine."""

    total: list[float]
    others: list[float]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened in one load."""

    num_lost: int
    num_doubled: int
    num_sentences: int
    waits: Waits
    lags: list[float]
    latencies: list[float]
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was seen; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--messages", type=int, default=4, help="of each of them")
    parser.add_argument("--channels", type=int, help="that they share (default: one for each)")
    parser.add_argument("--think-seconds", type=float, default=2.0, help="on average")
    parser.add_argument("--at-once", action="store_true", help="nobody thinks or waits")
    parser.add_argument("--model", default="embedded", help="a folder, or embedded")
    parser.add_argument("--threads", type=int, default=1, help="of the model")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="banter-load-") as name:
        outcome = asyncio.run(measure(options, Path(name)))
    num_asked = options.users * options.messages
    print(f"{options.users} people, {num_asked} messages in {outcome.seconds:.1f} s")
    print(
        f"lost {outcome.num_lost}, doubled {outcome.num_doubled}, "
        f"sentences instead of a reply {outcome.num_sentences}"
    )
    return _print_times(outcome)


def _print_times(outcome: Outcome) -> int:
    print(f"{'ms':<34}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}")
    for title, values in (
        ("from message to reply", outcome.waits.total),
        ("of it stored as latency", outcome.latencies),
        ("of it not in the engine", outcome.waits.others),
        ("event loop late by", outcome.lags),
    ):
        cells = [percentile(values, percent) for percent in (50, 95, 99)] if values else []
        print(
            f"{title:<34}" + "".join(f"{cell:>9.1f}" for cell in (*cells, max(values, default=0)))
        )
    lag = percentile(outcome.lags, 99) if outcome.lags else 0.0
    others = percentile(outcome.waits.others, 95) if outcome.waits.others else 0.0
    missed = outcome.num_lost or outcome.num_doubled
    missed = missed or lag > TARGET_LAG_MS or others > TARGET_OTHERS_MS
    print(
        f"targets: nothing lost or doubled, loop late by {TARGET_LAG_MS:.0f} ms at most (p99), "
        f"{TARGET_OTHERS_MS:.0f} ms not in the engine (p95): {'MISSED' if missed else 'met'}"
    )
    return int(bool(missed))


async def measure(options: argparse.Namespace, folder: Path) -> Outcome:
    """Start the bot, let everybody talk, stop it and count."""
    notes = folder / "notes.json"
    env = _environment(options, folder) | {NOTES: str(notes)}
    async with serving() as server:
        guild = server.add_guild()
        channels = [
            server.add_channel(guild, f"room-{number}")
            for number in range(options.channels or options.users)
        ]
        people = [server.add_member(guild, f"member{number}") for number in range(options.users)]
        async with await BotProcess.start(
            server, folder=folder, env=env, arguments=PROGRAM
        ) as process:
            await process.ready()
            while READY not in process.stderr:  # noqa: ASYNC110  # a log file tells nobody
                await asyncio.sleep(0.01)
            think_seconds = None if options.at_once else options.think_seconds
            crowd = Crowd(server, options.messages, think_seconds)
            begun = time.monotonic()
            spoken = await crowd.talk(people, channels)
            seconds = time.monotonic() - begun
            await asyncio.sleep(LINGER_SECONDS)
            heard = crowd.stop()
            await process.terminate()
    noted = json.loads(await asyncio.to_thread(notes.read_text))
    latencies = await asyncio.to_thread(_stored_latencies, folder / "data" / "banter.db")
    return Outcome(
        num_lost=sum(one.message_id not in heard.answered_at for one in spoken),
        num_doubled=heard.num_doubled,
        num_sentences=heard.num_sentences,
        waits=waits_of(spoken, heard, noted["calls"]),
        lags=[1000 * late for at, late in noted["lags"] if begun <= at <= begun + seconds],
        latencies=latencies,
        seconds=seconds,
    )


def _environment(options: argparse.Namespace, folder: Path) -> dict[str, str]:
    """The settings of the bot."""
    return {
        "MODEL": options.model,
        "NUM_THREADS": str(options.threads),
        "MAX_PENDING_PER_USER": str(max(3, options.messages)),
        "MAX_QUEUE": str(max(64, options.users * options.messages)),
        "TMPDIR": str(folder),  # where the lock of the token lies
    }


class Crowd:
    """People who talk with the bot, and somebody who notes when what is answered.

    `think_seconds` None: they say everything at once.
    """

    def __init__(
        self, server: DiscordServer, num_messages: int, think_seconds: float | None
    ) -> None:
        self._server = server
        self._num_messages = num_messages
        self._think_seconds = think_seconds
        self._heard = Heard()
        self._done: dict[int, asyncio.Event] = {}
        self._noting = asyncio.create_task(self._note())

    async def talk(self, people: Sequence[User], channels: Sequence[Channel]) -> list[Spoken]:
        """Everything that is said, once it is answered or given up."""
        talks = (
            self._talk(person, channels[number % len(channels)], number)
            for number, person in enumerate(people)
        )
        return [one for talk in await asyncio.gather(*talks) for one in talk]

    def stop(self) -> Heard:
        """What was heard until now."""
        self._noting.cancel()
        return self._heard

    async def _talk(self, person: User, channel: Channel, seed: int) -> list[Spoken]:
        dice, spoken = random.Random(seed), list[Spoken]()
        for _ in range(self._num_messages):
            if self._think_seconds is not None:
                await asyncio.sleep(dice.uniform(0, 2 * self._think_seconds))
            said_at = time.monotonic()
            text = dice.choice(SENTENCES)
            message_id = self._server.say(channel, person, text, mention_bot=True)
            self._done[message_id] = asyncio.Event()
            spoken.append(Spoken(message_id, channel.id, said_at))
            if self._think_seconds is not None:
                await self._answered(message_id)
        for one in spoken:
            await self._answered(one.message_id)
        return spoken

    async def _answered(self, message_id: int) -> None:
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await self._done[message_id].wait()
        except TimeoutError:
            return  # it is counted as lost

    async def _note(self) -> None:
        num_seen = 0

        def more() -> list[Message] | None:
            return self._server.sent[num_seen:] or None

        while True:
            messages = await self._server.wait_for(more, timeout=REPLY_SECONDS, what="a reply")
            num_seen += len(messages)
            for message in messages:
                answered = self._heard.take(message, time.monotonic())
                if answered is not None and answered in self._done:
                    self._done[answered].set()


def waits_of(
    spoken: Sequence[Spoken], heard: Heard, calls: Sequence[tuple[int, float, float]]
) -> Waits:
    """Where the time went; the engine at work for others in the channel is waited for, too."""
    total, others = [], []
    for one in spoken:
        if one.message_id not in heard.answered_at:
            continue
        end = heard.answered_at[one.message_id]
        own = [(begun, begun + took) for place, begun, took in calls if place == one.channel_id]
        in_engine = sum(max(0.0, min(end, b) - max(one.said_at, a)) for a, b in own)
        total.append(1000 * (end - one.said_at))
        others.append(1000 * (end - one.said_at - in_engine))
    return Waits(total, others)


def _stored_latencies(path: Path) -> list[float]:
    """Milliseconds that the bot itself noted for its replies."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT latency_ms FROM turn WHERE role = 'bot'").fetchall()
    return [float(row[0]) for row in rows]


if __name__ == "__main__":
    sys.exit(main())
