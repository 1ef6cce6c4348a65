"""Requests on their way through an engine, and whose turn it is when a place becomes free.

No torch here.
"""

import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from bot.engine.protocol import Cancellation, Completion, GenerationRequest
from bot.errors import DeadlineError, WithdrawnError

_Name = tuple[int, ...]  # (group_key,) or (group_key, user_id)


@dataclass(eq=False, slots=True)
class Job:
    """A request on its way; `place` is what its sender was last told, 0 the first in the queue."""

    request: GenerationRequest
    future: "Future[list[Completion]]" = field(default_factory=Future)
    abandoned: Cancellation = field(default_factory=Cancellation)
    submitted_at: float = field(default_factory=time.monotonic)
    place: int | None = None

    def tell(self, place: int) -> None:
        """Tell the sender its place where it has changed."""
        if place != self.place and self.request.on_position is not None:
            self.request.on_position(place)
        self.place = place

    def stop_if_unwanted(self) -> None:
        """Raise WithdrawnError or DeadlineError where its answer is not wanted any more."""
        if self.abandoned.cancelled or self.request.cancellation.cancelled:
            raise WithdrawnError
        if self.request.deadline is not None and time.monotonic() > self.request.deadline:
            raise DeadlineError

    def begin(self) -> bool:
        """Mark it as running; False where its sender has gone."""
        return self.future.set_running_or_notify_cancel()

    def fail(self, error: BaseException) -> None:
        """Answer with `error`, whether it waits or runs, unless it has an answer."""
        if self.future.done() or not (self.future.running() or self.begin()):
            return
        self.future.set_exception(answerable(error))


def answerable(error: BaseException) -> Exception:
    """`error` as a future may bring it to the task that waits."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration | CancelledError):
        return error
    # the task would never end, or take it for its own cancellation
    return RuntimeError(f"the request failed with {error!r}")


class WaitingLine:
    """The jobs that wait; servers take turns, and in a server its members.

    Next is the server with the fewest running jobs, then the one that was served longest ago;
    in it the member likewise; and of a member the oldest job. A member of whom `most_of_a_member`
    run already is passed over (user 0 stands for no member). Not for several threads at once.
    """

    def __init__(self, most_of_a_member: int = sys.maxsize) -> None:
        self._most_of_a_member = most_of_a_member
        self._jobs: list[Job] = []
        self._order: list[Job] | None = None  # until something changes it
        self._running: Counter[_Name] = Counter()
        self._served: dict[_Name, int] = {}
        self._num_served = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def append(self, job: Job) -> None:
        """Let `job` wait."""
        self._jobs.append(job)
        self._order = None

    def remove(self, job: Job) -> None:
        """Take `job` out of the line."""
        self._jobs.remove(job)
        self._order = None

    def first(self) -> Job | None:
        """The job whose turn it is, if any may run."""
        return next(filter(self._may_run, self.in_order()), None)

    def next(self) -> Job | None:
        """Take out the job whose turn it is; `done` is to be called when it has ended."""
        job = self.first()
        if job is None:
            return None
        # the others stay in their order
        self._order = [one for one in self.in_order() if one is not job]
        self._jobs.remove(job)
        self._num_served += 1
        _begin(job, self._running, self._served, self._num_served)
        return job

    def done(self, job: Job) -> None:
        """Count `job` as ended."""
        self._order = None
        for name in _names(job):
            self._running[name] -= 1
            if self._running[name] <= 0:
                del self._running[name]
        if not self._jobs and not self._running:
            self._served.clear()  # no job waits: all members are equal again

    def in_order(self) -> list[Job]:
        """The waiting jobs in the order in which they would be taken, if no other came."""
        if self._order is None:
            self._order = list(self._arrange())
        return self._order

    def _may_run(self, job: Job) -> bool:
        return not job.request.user_id or self._running[_names(job)[1]] < self._most_of_a_member

    def _arrange(self) -> Iterator[Job]:
        """Taking a job changes the rank of its own server and member only: two heaps will do."""
        running, served = Counter(self._running), dict(self._served)
        waiting: dict[_Name, deque[tuple[int, Job]]] = {}
        for number, job in enumerate(self._jobs):
            waiting.setdefault(_names(job)[1], deque()).append((number, job))
        members: dict[_Name, list[tuple[int, int, int, _Name]]] = {}
        for name, jobs in waiting.items():
            rank = (running[name], served.get(name, 0), jobs[0][0], name)
            members.setdefault(name[:1], []).append(rank)
        for ranks in members.values():
            heapify(ranks)
        groups = [(running[n], served.get(n, 0), ranks[0], n) for n, ranks in members.items()]
        heapify(groups)
        for now in range(self._num_served + 1, self._num_served + 1 + len(self._jobs)):
            group = heappop(groups)[-1]
            name = heappop(members[group])[-1]
            jobs = waiting[name]
            job = jobs.popleft()[1]
            yield job
            _begin(job, running, served, now)
            if jobs:
                heappush(members[group], (running[name], served[name], jobs[0][0], name))
            if members[group]:
                heappush(groups, (running[group], served[group], members[group][0], group))


def _names(job: Job) -> tuple[_Name, _Name]:
    request = job.request
    return (request.group_key,), (request.group_key, request.user_id)


def _begin(job: Job, running: Counter[_Name], served: dict[_Name, int], now: int) -> None:
    for name in _names(job):
        running[name] += 1
        served[name] = now


def split_unwanted(jobs: Iterable[Job]) -> list[tuple[Job, Exception]]:
    """The jobs that are not wanted any more, each with the error to answer it with."""
    unwanted: list[tuple[Job, Exception]] = []
    for job in jobs:
        try:
            job.stop_if_unwanted()
        except (WithdrawnError, DeadlineError) as error:
            unwanted.append((job, error))
    return unwanted
