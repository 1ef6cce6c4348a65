"""What it costs to read a context's turns from a short history and from a very long one.

Both histories stand in one database and are read in turns, so that the machine's moods reach both.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.dialects import sqlite
from tqdm import tqdm

from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Scope
from bot.store.database.crypto import Cipher
from bot.store.database.database import Database
from bot.store.database.tables import turn
from bot.store.history import SqlHistory
from bot.store.tree import PATH
from bot.store.upkeep.opening import open_database

SHORT, LONG = Scope(1), Scope(2)
NUM_SHORT_TURNS = 1000
TARGET_RATIO = 1.2
BATCH = 10_000
COLUMNS = (
    "id", "channel_id", "user_id", "guild_id", "parent_id", "role", "author_id", "origin", "text",
    "num_tokens", "tokenizer", "source_message_id", "epoch", "created_at", "context_start_id",
    "num_prompt_tokens", "model", "revision", "params", "seed", "finish_reason", "latency_ms",
)  # fmt: skip
WORDS = ("the", "of", "and", "to", "in", "is", "that", "it", "was", "for", "on", "are", "with")


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that it took to read one context, for the two histories."""

    short: list[float]
    long: list[float]

    @property
    def ratio(self) -> float:
        """Median of the long history over median of the short one."""
        return statistics.median(self.long) / statistics.median(self.short)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the histories, measure, print; 1 when the long one costs over the target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--turns", type=int, default=1_000_000, help="of the long history")
    parser.add_argument("--context-turns", type=int, default=8)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--database", type=Path, help="a file to build in, or to use again")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="banter-store-") as folder:
        path = options.database or Path(folder) / "benchmark.db"
        return asyncio.run(measure(path, options.turns, options.context_turns, options.repetitions))


async def measure(path: Path, num_turns: int, num_context_turns: int, repetitions: int) -> int:
    """Print the whole report for the database at `path`."""
    database = await open_database(
        f"sqlite+aiosqlite:///{path}", history_key="benchmark", key_path=path.with_suffix(".key")
    )
    try:
        await fill(database, path, num_turns)
        history = SqlHistory(database, origin="console")
        at_head = await time_reading(history, num_context_turns, repetitions, "at the head")
        anywhere = await time_anywhere(history, num_turns, num_context_turns, repetitions)
        print(f"\nreading {num_context_turns} turns, {repetitions} times each, interleaved")
        print_row("", f"{NUM_SHORT_TURNS} turns", f"{num_turns} turns", "ratio")
        print_timings("head and path", at_head)
        print_timings("path of any turn", anywhere)
        print("\nquery plan:")
        plan = await query_plan(database, num_context_turns)
        print("\n".join(f"  {step}" for step in plan))
        verdict = "met" if at_head.ratio <= TARGET_RATIO else "MISSED"
        print(f"\ntarget: ratio of the medians at the head ≤ {TARGET_RATIO}: {verdict}")
        return int(at_head.ratio > TARGET_RATIO)
    finally:
        await database.close()


async def fill(database: Database, path: Path, num_turns: int) -> None:
    """Build what is not there yet, in one go and without waiting for the disk."""
    counted = select(func.count()).select_from(turn).where(turn.c.channel_id == LONG.channel_id)
    num_found = await database.read(lambda connection: connection.scalar(counted))
    if num_found == num_turns:
        return
    if num_found:
        raise SystemExit(f"{path} holds {num_found} turns, not {num_turns}: name another file")
    begun = time.perf_counter()
    insert_both(path, database.cipher, num_turns)
    await database.checkpoint()
    print(f"built in {time.perf_counter() - begun:.1f} s")


def insert_both(path: Path, cipher: Cipher, num_turns: int) -> None:
    """The short history and the long one."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-262144")  # KiB
        insert_history(connection, cipher, SHORT, 1, NUM_SHORT_TURNS)
        insert_history(connection, cipher, LONG, NUM_SHORT_TURNS + 1, num_turns)


def insert_history(
    connection: sqlite3.Connection, cipher: Cipher, scope: Scope, first_id: int, num_turns: int
) -> None:
    """One long chain of encrypted turns, and the head at its end."""
    places = ", ".join("?" * len(COLUMNS))
    statement = f"INSERT INTO turn ({', '.join(COLUMNS)}) VALUES ({places})"  # noqa: S608 (our own names)
    rows = chain(cipher, scope, first_id, num_turns)
    with tqdm(total=num_turns, desc=f"{num_turns} turns", unit=" turns", unit_scale=True) as bar:
        for start in range(0, num_turns, BATCH):
            size = min(BATCH, num_turns - start)
            connection.executemany(statement, [next(rows) for _ in range(size)])
            bar.update(size)
    connection.execute(
        "INSERT INTO conversation (channel_id, user_id, head_turn_id, epoch, touched_at)"
        " VALUES (?, 0, ?, 0, '2026-01-01 00:00:00')",
        (scope.channel_id, first_id + num_turns - 1),
    )


def chain(
    cipher: Cipher, scope: Scope, first_id: int, num_turns: int
) -> Iterator[tuple[object, ...]]:
    """The rows of a history whose turns answer one another, newest last."""
    dice = random.Random(scope.channel_id)
    params = json.dumps(asdict(SamplingParams()))
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(num_turns):
        row_id = first_id + number
        said = " ".join(dice.choices(WORDS, k=12))
        moment = (begun + timedelta(seconds=2 * number)).strftime("%Y-%m-%d %H:%M:%S.000000")
        parent_id = row_id - 1 if number else None
        place = (row_id, scope.channel_id, 0, 900, parent_id)
        if number % 2:
            start_id = max(first_id, row_id - 8)
            reply = (start_id, 90, "tiny", "main", params, number, "stop", 120)
            yield (
                *place,
                "bot",
                None,
                "console",
                cipher.seal(said),
                12,
                "gpt2",
                None,
                0,
                moment,
                *reply,
            )
        else:
            author_id = 1000 + number % 50
            yield (*place, "user", author_id, "console", cipher.seal(said), 12, "gpt2",
                   row_id, 0, moment, *[None] * 8)  # fmt: skip


async def time_reading(
    history: SqlHistory, num_context_turns: int, repetitions: int, title: str
) -> Timings:
    """What every reply does: where does the scope stand, and what was said there."""
    timings = Timings([], [])
    for _ in tqdm(range(repetitions), desc=title, unit=" reads"):
        for scope, into in ((SHORT, timings.short), (LONG, timings.long)):
            begun = time.perf_counter()
            head = await history.head(scope)
            path = await history.path(head.turn_id or 0, num_context_turns)
            into.append(time.perf_counter() - begun)
            if len(path) != num_context_turns:
                raise SystemExit(f"{scope} gave {len(path)} turns")
    return timings


async def time_anywhere(
    history: SqlHistory, num_turns: int, num_context_turns: int, repetitions: int
) -> Timings:
    """A reply to an older message: its turn lies anywhere in the history."""
    dice = random.Random(0)
    timings = Timings([], [])
    for _ in tqdm(range(repetitions), desc="anywhere", unit=" reads"):
        for first_id, size, into in (
            (1, NUM_SHORT_TURNS, timings.short),
            (NUM_SHORT_TURNS + 1, num_turns, timings.long),
        ):
            turn_id = first_id + dice.randrange(size // 2, size)
            begun = time.perf_counter()
            await history.path(turn_id, num_context_turns)
            into.append(time.perf_counter() - begun)
    return timings


async def query_plan(database: Database, num_context_turns: int) -> list[str]:
    """How SQLite finds the path."""
    query = PATH.compile(dialect=sqlite.dialect())
    given = {**query.params, "turn_id": NUM_SHORT_TURNS, "num_turns": num_context_turns}
    ordered = [given[name] for name in query.positiontup or ()]
    rows = await database.read(
        lambda connection: connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {query}", tuple(ordered)
        ).all()
    )
    return [row[-1] for row in rows]


def print_timings(title: str, timings: Timings) -> None:
    """Median and p95 of both histories, in microseconds."""
    for name, percent in (("median", 50), ("p95", 95)):
        short, long = (
            statistics.quantiles(seconds, n=100)[percent - 1]
            for seconds in (timings.short, timings.long)
        )
        print_row(
            f"{title}, {name}",
            f"{short * 1e6:.0f} µs",
            f"{long * 1e6:.0f} µs",
            f"{long / short:.2f}",
        )


def print_row(title: str, *cells: str) -> None:
    """One line of the table."""
    print(f"{title:26}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
