"""What becomes of what people write while the bot is killed, or cut off from Discord.

Prints a table: how many messages were written meanwhile, how many of them were beyond the limits
of MAX_PENDING_PER_USER and MAX_QUEUE and so were closed without a reply, and how the others fared.
The whole bot runs as a process of its own against a local Discord, in real time: with all lengths
it takes half an hour.
"""

import argparse
import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.sentences import SENTENCES
from tests.discord_server.bot_process import BotProcess
from tests.discord_server.faults import Cut, When
from tests.discord_server.server import DiscordServer, serving
from tests.discord_server.state import Channel, User

KINDS = ("killed", "cut off")
LENGTHS_SECONDS = (10.0, 100.0, 600.0)
NUM_ROOMS = 5
MAX_PENDING, MAX_QUEUE = 3, 64  # the defaults of the bot
# Discord takes a session up again only for a while; afterwards nothing is delivered later.
SESSION_SECONDS = 60.0
LINGER_SECONDS = 10.0  # in which a second reply to a message would come
ENDLESS = 10**9


@dataclass(frozen=True, slots=True)
class Written:
    """A message of a member, in a room, while the bot was away."""

    message_id: int
    author_id: int


@dataclass(frozen=True, slots=True)
class Outage:
    """How the bot is away, and for how long."""

    kind: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outage. `num_closed`: beyond a limit; `back_seconds`: until the last reply was there."""

    outage: Outage
    num_written: int
    num_closed: int
    num_answered: int
    num_lost: int
    num_doubled: int
    back_seconds: float

    @property
    def row(self) -> str:
        """A row of the table."""
        within = self.num_written - self.num_closed
        share = f"{self.num_answered / within:.0%}" if within else "–"
        outage = f"{self.outage.kind}, {self.outage.seconds:.0f} s"
        return (
            f"| {outage} | {self.num_written} | {self.num_closed} "
            f"| {within} | {self.num_answered} ({share}) | {self.num_lost} | {self.num_doubled} "
            f"| {self.back_seconds:.0f} s |"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a message was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outages", description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS), help="separated by commas")
    parser.add_argument(
        "--seconds", default=",".join(f"{one:g}" for one in LENGTHS_SECONDS), help="the lengths"
    )
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--pause-seconds", type=float, default=15.0, help="of each, on average")
    parser.add_argument(
        "--patience-seconds",
        type=float,
        default=1200.0,  # discord.py waits up to 17 minutes between two tries to connect
        help="for the last reply",
    )
    parser.add_argument("--model", default="embedded", help="a folder, or embedded")
    options = parser.parse_args(arguments)
    print("| outage | written | beyond a limit | within | answered once | lost | doubled | back |")
    print("|---|---|---|---|---|---|---|---|")
    is_good = True
    for kind in options.kinds.split(","):
        for seconds in map(float, options.seconds.split(",")):
            with tempfile.TemporaryDirectory(prefix="banter-outage-") as name:
                outcome = asyncio.run(measure(Outage(kind, seconds), options, Path(name)))
            print(outcome.row, flush=True)
            is_good = is_good and not outcome.num_lost and not outcome.num_doubled
    return 0 if is_good else 1


async def measure(outage: Outage, options: argparse.Namespace, folder: Path) -> Outcome:
    """One outage: before it every room has been spoken in, after it everything is counted."""
    env = {"MODEL": options.model, "NUM_THREADS": "1", "TMPDIR": str(folder)}
    async with serving() as server:
        guild = server.add_guild()
        rooms = [server.add_channel(guild, f"room-{number}") for number in range(NUM_ROOMS)]
        people = [server.add_member(guild, f"member{number}") for number in range(options.people)]
        bot = await BotProcess.start(server, folder=folder, env=env)
        try:
            await bot.ready()
            for room in rooms:
                server.say(room, people[0], "hello there", mention_bot=True)
                await server.wait_replies(room, 1, timeout=60)
            is_killed = outage.kind == "killed"
            async with killed(bot) if is_killed else cut_off(server, outage.seconds):
                written = await write(server, rooms, people, outage.seconds, options.pause_seconds)
            began = time.monotonic()
            if is_killed:
                bot = await BotProcess.start(server, folder=folder, env=env)
            await all_answered(server, written, options.patience_seconds)
            back_seconds = time.monotonic() - began
            await asyncio.sleep(LINGER_SECONDS)
            await bot.terminate()
        finally:
            await bot.kill()
        return count(server, written, folder / "data" / "banter.db", outage, back_seconds)


@asynccontextmanager
async def killed(bot: BotProcess) -> AsyncIterator[None]:
    """The process is gone."""
    await bot.kill()
    yield


@asynccontextmanager
async def cut_off(server: DiscordServer, seconds: float) -> AsyncIterator[None]:
    """The gateway and every request fail; a long absence ends the session."""
    server.gateway.accepts = False
    server.faults.add("*", "*", Cut(When.BEFORE), times=ENDLESS)
    server.gateway.drop()
    if seconds > SESSION_SECONDS:
        server.gateway.forget_sessions()
    yield
    server.faults.clear()
    server.gateway.accepts = True


async def write(
    server: DiscordServer,
    rooms: Sequence[Channel],
    people: Sequence[User],
    seconds: float,
    pause_seconds: float,
) -> list[Written]:
    """What all people write in `seconds`, each in a room of theirs."""
    written: list[Written] = []

    async def talk(person: User, room: Channel, seed: int) -> None:
        dice = random.Random(seed)
        while True:
            await asyncio.sleep(dice.uniform(0, 2 * pause_seconds))
            text = dice.choice(SENTENCES)
            message_id = server.say(room, person, text, mention_bot=True)
            written.append(Written(message_id, person.id))

    talks = [
        asyncio.create_task(talk(person, rooms[number % len(rooms)], number))
        for number, person in enumerate(people)
    ]
    await asyncio.sleep(seconds)
    for one in talks:
        one.cancel()
    await asyncio.gather(*talks, return_exceptions=True)
    return written


async def all_answered(
    server: DiscordServer, written: Sequence[Written], patience_seconds: float
) -> None:
    """Return when every member has the replies that the limits leave them, or patience ends."""

    def found() -> bool:
        return num_missing(replies_to(server), written) == 0

    try:
        await server.wait_for(lambda: found() or None, timeout=patience_seconds, what="all replies")
    except AssertionError:
        return  # counted as lost


def replies_to(server: DiscordServer) -> Counter[int]:
    """How many replies each message has; a notice is none, and of a reply only its first part."""
    return Counter(
        one.reference.message_id
        for one in server.sent
        if one.reference is not None and (one.nonce or "") == f"r{one.reference.message_id}-0"
    )


def num_missing(replies: Counter[int], written: Sequence[Written]) -> int:
    """How many replies members lack of those that the limits leave them."""
    asked = Counter(one.author_id for one in written)
    got = Counter(one.author_id for one in written if replies[one.message_id])
    return sum(max(0, min(MAX_PENDING, num) - got[author]) for author, num in asked.items())


def count(
    server: DiscordServer,
    written: Sequence[Written],
    database: Path,
    outage: Outage,
    back_seconds: float,
) -> Outcome:
    """What became of everything that was written."""
    replies = replies_to(server)
    with closing(sqlite3.connect(database)) as connection:
        known = {row[0] for row in connection.execute("SELECT message_id FROM inbox")}
    unanswered = [one for one in written if not replies[one.message_id]]
    lost = {one.message_id for one in unanswered if one.message_id not in known}
    missing = num_missing(replies, written)
    return Outcome(
        outage=outage,
        num_written=len(written),
        num_closed=len(unanswered) - max(len(lost), missing),
        num_answered=sum(replies[one.message_id] == 1 for one in written),
        num_lost=max(len(lost), missing),
        num_doubled=sum(number > 1 for number in replies.values()),
        back_seconds=back_seconds,
    )


if __name__ == "__main__":
    sys.exit(main())
