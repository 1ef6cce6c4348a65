"""People who talk: utterances and drafts in one line each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, func, select

from bot.answering.ports import Draft
from bot.dialogue.sampling import SamplingParams
from bot.dialogue.turn import Exchange, Scope, Turn, Utterance
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.upkeep.retention import Retention

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHANNEL = Scope(500)
GUILD = 900
ANNA = 7
BEN = 8


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        """What has passed since the beginning."""
        return (self.now - NOON).total_seconds()

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


def said(message_id: int, text: str = "hello", **changes: Any) -> Utterance:
    """What Anna says in the channel, unless `changes` say otherwise."""
    plain = Utterance(
        message_id, CHANNEL, author_id=ANNA, text=text, created_at=NOON, guild_id=GUILD
    )
    return replace(plain, **changes)


def draft(utterance: Utterance, text: str = "hi", **changes: Any) -> Draft:
    """An answer to `utterance` that starts a path, unless `changes` say otherwise."""
    plain = Draft(
        said=utterance,
        parent_id=None,
        text=text,
        num_tokens=(3, 2),
        tokenizer="gpt2",
        context_start_id=None,
        num_prompt_tokens=4,
        model="tiny",
        revision="main",
        params=SamplingParams(),
        seed=1,
        finish_reason="stop",
        latency_ms=12,
    )
    return replace(plain, **changes)


async def talk(
    history: SqlHistory, utterance: Utterance, text: str = "hi", **changes: Any
) -> Exchange:
    """Remember an exchange at the head of its scope."""
    head = await history.head(utterance.scope)
    changes.setdefault("parent_id", head.turn_id)
    return await history.remember(draft(utterance, text, **changes), head)


def texts(turns: Sequence[Turn]) -> list[str]:
    return [turn.text for turn in turns]


async def count(database: Database, table: Table) -> int:
    query = select(func.count()).select_from(table)
    return await database.read(lambda connection: connection.execute(query).scalar_one())


async def rows(database: Database, table: Table) -> list[dict[str, Any]]:
    """Every row of a table, as it is stored."""
    query = select(table).order_by(*table.primary_key.columns)
    return await database.read(
        lambda connection: [dict(row) for row in connection.execute(query).mappings()]
    )


def sure_retention(
    database: Database, clock: Clock, *, reads: Callable[[], datetime] | None = None, **more: Any
) -> Retention:
    """Retention of 30 days by a clock that is right; `reads` is read in its place."""
    return Retention(
        database,
        retention_days=30,
        clock=reads or clock,
        seconds=clock.seconds,
        is_sure=True,
        **more,
    )
