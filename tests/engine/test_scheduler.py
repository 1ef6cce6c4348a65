"""Whose turn it is, and how a job is answered."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError
from itertools import pairwise

import pytest

from bot.engine.protocol import GenerationRequest
from bot.engine.scheduler import Job, WaitingLine, split_unwanted
from bot.errors import DeadlineError, NumericError, WithdrawnError


def job(group: int = 0, user: int = 0, **changes: object) -> Job:
    return Job(GenerationRequest((1,), group_key=group, user_id=user, **changes))  # type: ignore[arg-type]  # a test's keyword arguments


def line_of(*jobs: Job, most_of_a_member: int = 1000) -> WaitingLine:
    line = WaitingLine(most_of_a_member)
    for one in jobs:
        line.append(one)
    return line


def names(jobs: list[Job]) -> list[tuple[int, int]]:
    return [(one.request.group_key, one.request.user_id) for one in jobs]


def taken(line: WaitingLine) -> Job:
    one = line.next()
    assert one is not None
    return one


class ObviousLine:
    """The rule of WaitingLine's docstring, word by word."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.running: list[Job] = []
        self.served: list[Job] = []

    def next(self) -> Job:
        def last(same: Callable[[Job], bool]) -> int:
            return max((place for place, one in enumerate(self.served, 1) if same(one)), default=0)

        def rank(one: Job) -> tuple[int, ...]:
            group, user = one.request.group_key, one.request.user_id

            def in_group(other: Job) -> bool:
                return other.request.group_key == group

            def of_member(other: Job) -> bool:
                return in_group(other) and other.request.user_id == user

            return (
                sum(map(in_group, self.running)),
                last(in_group),
                sum(map(of_member, self.running)),
                last(of_member),
                self.jobs.index(one),
            )

        chosen = min(self.jobs, key=rank)
        self.jobs.remove(chosen)
        self.running.append(chosen)
        self.served.append(chosen)
        return chosen

    def done(self, one: Job) -> None:
        self.running.remove(one)
        if not self.jobs and not self.running:
            self.served.clear()


def test_servers_take_turns_and_in_a_server_its_members() -> None:
    line = line_of(job(1, 1), job(1, 1), job(1, 2), job(2, 3), job(2, 3), job(3, 4))
    order = line.in_order()
    assert names(order) == [(1, 1), (2, 3), (3, 4), (1, 2), (2, 3), (1, 1)]
    assert [line.next() for _ in range(6)] == order
    assert (line.next(), line.first(), len(line)) == (None, None, 0)


def test_a_members_jobs_run_in_the_order_they_came() -> None:
    jobs = [job(1, 1) for _ in range(5)]
    assert line_of(*jobs).in_order() == jobs


def test_whoever_runs_least_comes_first() -> None:
    line = line_of(job(1, 1), job(2, 2))
    first, _ = taken(line), taken(line)
    line.done(first)
    line.append(job(2, 9))
    line.append(job(1, 1))
    assert names(line.in_order()) == [(1, 1), (2, 9)]


def test_twenty_members_overtake_one_who_sent_a_hundred() -> None:
    line = line_of(*(job(1, 1) for _ in range(100)))
    running = [taken(line) for _ in range(4)]
    for user in range(2, 22):
        line.append(job(1, user))
    served = []
    for _ in range(20):
        line.done(running.pop(0))
        running.append(taken(line))
        served.append(running[-1].request.user_id)
    assert served == list(range(2, 22))


def test_a_member_of_whom_enough_run_is_passed_over_until_one_has_ended() -> None:
    line = line_of(job(1, 1), job(1, 1), job(1, 1), job(2, 2), most_of_a_member=2)
    first, other, second = taken(line), taken(line), taken(line)
    assert names([first, other, second]) == [(1, 1), (2, 2), (1, 1)]
    assert (line.first(), line.next(), len(line)) == (None, None, 1)
    line.append(job(1, 3))
    assert names([taken(line)]) == [(1, 3)]
    line.done(first)
    assert names([taken(line)]) == [(1, 1)]


def test_nobody_in_particular_may_have_every_place() -> None:
    line = line_of(*(job() for _ in range(5)), most_of_a_member=2)
    assert names([taken(line) for _ in range(5)]) == [(0, 0)] * 5


def test_everybody_is_equal_again_when_nobody_waits() -> None:
    line = line_of(job(1, 1))
    line.done(taken(line))
    line.append(job(1, 1))
    line.append(job(2, 2))
    assert names(line.in_order()) == [(1, 1), (2, 2)]
    assert not line._running


@pytest.mark.parametrize("seed", range(8))
def test_the_order_is_that_of_slow_obvious_code(seed: int) -> None:
    rng = random.Random(seed)
    line, obvious = WaitingLine(), ObviousLine()
    num_taken = 0
    for _ in range(150):
        chance = rng.random()
        if chance < 0.5:
            new = job(rng.randint(1, 3), rng.randint(1, 4))
            line.append(new)
            obvious.jobs.append(new)
        elif chance < 0.55 and obvious.jobs:
            gone = rng.choice(obvious.jobs)
            line.remove(gone)
            obvious.jobs.remove(gone)
        elif chance < 0.75 and obvious.running:
            ended = rng.choice(obvious.running)
            line.done(ended)
            obvious.done(ended)
        elif obvious.jobs:
            foretold = line.first()
            assert line.next() is obvious.next() is foretold
            num_taken += 1
        assert list(line) == obvious.jobs
        assert line._running == Counter(n for o in obvious.running for n in _names(o))
    assert num_taken > 20


def _names(one: Job) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (one.request.group_key,), (one.request.group_key, one.request.user_id)


def test_thousands_of_waiting_jobs_are_put_in_order_at_once() -> None:
    line = line_of(*(job(number % 7, number) for number in range(4000)))
    started_at = time.process_time()
    order = line.in_order()
    assert time.process_time() - started_at < 2  # comparing each with each takes half a minute
    assert [group for group, _ in names(order[:7])] == list(range(7))
    assert all(a is not b for a, b in pairwise(order))


def test_a_place_is_told_where_it_has_changed() -> None:
    told: list[int] = []
    one = job(on_position=told.append)
    for place in (3, 3, 2, 2, 0):
        one.tell(place)
    assert told == [3, 2, 0]
    job().tell(4)


def test_only_what_nobody_waits_for_is_sorted_out() -> None:
    wanted, late, withdrawn, left = (
        job(deadline=time.monotonic() + 60),
        job(deadline=0.0),
        job(),
        job(),
    )
    withdrawn.request.cancellation.cancel()
    left.abandoned.cancel()
    found = split_unwanted([wanted, late, withdrawn, left])
    assert [(one, type(error)) for one, error in found] == [
        (late, DeadlineError),
        (withdrawn, WithdrawnError),
        (left, WithdrawnError),
    ]


@pytest.mark.parametrize("runs", [False, True], ids=["waiting", "running"])
def test_a_job_is_answered_once(runs: bool) -> None:
    one = job()
    assert not runs or one.begin()
    one.fail(NumericError())
    one.fail(WithdrawnError())
    assert isinstance(one.future.exception(), NumericError)


def test_a_job_that_was_cancelled_takes_no_answer() -> None:
    one = job()
    one.future.cancel()
    assert not one.begin()
    one.fail(NumericError())
    assert one.future.cancelled()


@pytest.mark.parametrize(
    "error", [StopIteration(), CancelledError(), asyncio.CancelledError(), SystemExit(1)], ids=repr
)
async def test_an_error_that_would_never_reach_a_task_is_wrapped(error: BaseException) -> None:
    one = job()
    one.fail(error)
    with pytest.raises(RuntimeError, match=type(error).__name__):
        async with asyncio.timeout(5):
            await asyncio.wrap_future(one.future)
