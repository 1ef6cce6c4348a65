"""Work on the network that makes no reply, a step of it between two steps of the replies.

No torch here.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, TypeVar

from bot.engine.scheduler import answerable

T = TypeVar("T")
Steps = Generator[None, None, T]  # yields between two steps, returns the outcome


class Errands:
    """Errands that wait for the engine's thread, which takes a step of each in turn.

    `add` and `len` are for any thread, the rest for the engine's. `explain` makes of an exception
    the one that the waiting task gets, or raises where the engine itself is at its end.
    """

    def __init__(self, explain: Callable[[Exception], BaseException]) -> None:
        self._explain = explain
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Steps[Any], Future[Any]]] = deque()

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)

    def add(self, steps: Steps[T]) -> "Future[T]":
        """Let `steps` be taken; cancelling the future ends them before the next one."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((steps, future))
        return future

    def advance(self) -> None:
        """Take a step of the errand whose turn it is; a fault of its own is its answer."""
        with self._lock:
            if not self._waiting:
                return
            steps, future = self._waiting.popleft()
        if future.cancelled():
            steps.close()
            return
        try:
            try:
                next(steps)
            except StopIteration as end:
                outcome = end.value
            except Exception as error:
                outcome = self._explain(error)
            else:
                with self._lock:
                    self._waiting.append((steps, future))
                return
        except BaseException as fault:  # not this errand's alone; it is in no line any more
            _answer(future, fault)
            raise
        _answer(future, outcome)

    def fail(self, error: BaseException) -> None:
        """Answer all of them with `error`."""
        with self._lock:
            waiting, self._waiting = self._waiting, deque()
        for steps, future in waiting:
            steps.close()
            _answer(future, error)


def _answer(future: "Future[Any]", outcome: object) -> None:
    if not future.set_running_or_notify_cancel():
        return  # the caller has gone
    if isinstance(outcome, BaseException):
        future.set_exception(answerable(outcome))
    else:
        future.set_result(outcome)
