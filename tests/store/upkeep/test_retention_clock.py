"""A clock that is wrong does not make everything old."""

from datetime import datetime, timedelta

import pytest

from bot.dialogue.turn import Turn
from bot.store.database import tables
from bot.store.database.database import Database
from bot.store.history import SqlHistory
from bot.store.inbox import SqlInbox
from bot.store.upkeep.retention import SWEEP_SECONDS, Retention
from tests.store.talk import CHANNEL, Clock, count, said, sure_retention, talk

TEN_YEARS = timedelta(days=3650)


class Jumping:
    """A clock of which a test says how far it is off."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.off = timedelta(0)

    def __call__(self) -> datetime:
        return self._clock() + self.off


@pytest.fixture
def jumping(clock: Clock) -> Jumping:
    return Jumping(clock)


async def kept(history: SqlHistory) -> list[Turn]:
    head = await history.head(CHANNEL)
    return [] if head.turn_id is None else await history.path(head.turn_id, 9)


def of_machine(database: Database, clock: Clock, jumping: Jumping) -> Retention:
    """As the terminal sweeps, by the machine's clock, in a process of its own."""
    return Retention(database, retention_days=30, clock=jumping, seconds=clock.seconds)


async def test_a_clock_that_jumps_ahead_between_two_sweeps_deletes_nothing(
    database: Database, history: SqlHistory, inbox: SqlInbox, clock: Clock, jumping: Jumping
) -> None:
    await inbox.record(said(1))
    await talk(history, said(1))
    retention = sure_retention(database, clock, reads=jumping)
    await retention.sweep()
    jumping.off = TEN_YEARS
    for _ in range(4):
        clock.move(seconds=SWEEP_SECONDS)
        assert await retention.sweep() == 0
    assert await count(database, tables.inbox) == 1
    assert len(await kept(history)) == 2
    jumping.off = timedelta(0)
    clock.move(days=30)
    assert await retention.sweep() == 2


async def test_a_clock_that_was_put_back_for_a_while_delays_nothing(
    database: Database, history: SqlHistory, clock: Clock, jumping: Jumping
) -> None:
    await talk(history, said(1))
    retention = sure_retention(database, clock, reads=jumping)
    jumping.off = -TEN_YEARS
    await retention.sweep()
    clock.move(days=31)
    assert await retention.sweep() == 0
    jumping.off = timedelta(0)
    assert await sure_retention(database, clock).sweep() == 2


async def test_by_discords_clock_what_is_old_goes_however_long_the_bot_was_away(
    database: Database, history: SqlHistory, clock: Clock
) -> None:
    await talk(history, said(1))
    clock.move(days=400)
    assert await sure_retention(database, clock).sweep() == 2


async def test_by_the_machines_clock_a_moment_counts_when_it_was_seen_twice(
    database: Database, history: SqlHistory, clock: Clock, jumping: Jumping
) -> None:
    assert await of_machine(database, clock, jumping).sweep() == 0
    await talk(history, said(1))
    jumping.off = TEN_YEARS
    assert await of_machine(database, clock, jumping).sweep() == 0
    jumping.off = timedelta(0)
    assert await of_machine(database, clock, jumping).sweep() == 0
    assert len(await kept(history)) == 2
    clock.move(days=31)
    assert await of_machine(database, clock, jumping).sweep() == 0
    assert await of_machine(database, clock, jumping).sweep() == 2


async def test_a_machine_that_is_used_daily_forgets_in_time(
    database: Database, history: SqlHistory, clock: Clock, jumping: Jumping
) -> None:
    await of_machine(database, clock, jumping).sweep()
    await talk(history, said(1))
    deleted = []
    for _ in range(31):
        clock.move(days=1)
        deleted.append(await of_machine(database, clock, jumping).sweep())
    assert deleted == [0] * 30 + [2]
