"""The one thread of an engine. It can be left behind: a hung one does not keep the bot from ending.

No torch here.
"""

import atexit
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
# The interpreter should not be taken apart under a thread that loads a model or is in a step.
EXIT_SECONDS = 10.0
_EXIT_LEFT_BEHIND = 1


_Work = tuple["Future[Any]", Callable[[], Any]]  # runs, unless its future was cancelled


class _Daemon(threading.Thread):
    pass


def is_any_left() -> bool:
    """Whether an engine's thread still runs; Python must not end under it, see `_end`."""
    return any(isinstance(thread, _Daemon) for thread in threading.enumerate())


class EngineThread(Executor):
    """Runs what is submitted, one after the other.

    A ThreadPoolExecutor's threads are waited for when Python ends, however long that takes.
    """

    def __init__(self, name: str, cores: frozenset[int] | None = None) -> None:
        """Start the thread; on `cores` only, where they are given and this is Linux."""
        self._submitted: SimpleQueue[_Work | None] = SimpleQueue()
        self._lock = threading.Lock()  # nothing is submitted after the end
        self._is_shut = False
        self._thread = _Daemon(target=_run, args=(self._submitted, cores), name=name, daemon=True)
        self._thread.start()
        # An engine that was not closed, or whose close was given up, lets its thread go, too.
        weakref.finalize(self, self._submitted.put, None).atexit = False
        self._end = partial(_end, self._thread)
        atexit.register(self._end)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Run `fn` after what came before. Raises RuntimeError after `shutdown`."""
        future: Future[T] = Future()
        with self._lock:
            if self._is_shut:
                raise RuntimeError("the engine's thread takes nothing more")
            self._submitted.put((future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as Executor has it
        """End the thread after what was submitted; with `cancel_futures` after what is running."""
        with self._lock:
            self._is_shut = True
            if cancel_futures:
                _cancel_all(self._submitted)
            self._submitted.put(None)
        if wait:
            self._thread.join()
            atexit.unregister(self._end)


def _end(thread: threading.Thread) -> None:
    """Wait for `thread` when Python ends, but not for ever.

    Python would stop it in the middle of torch's code when it comes back from there, and that
    aborts with a signal.
    """
    thread.join(EXIT_SECONDS)
    if thread.is_alive():
        logging.shutdown()
        sys.stdout.flush()
        os._exit(_EXIT_LEFT_BEHIND)


def _run(submitted: "SimpleQueue[_Work | None]", cores: frozenset[int] | None) -> None:
    _keep_to(cores)
    while (work := submitted.get()) is not None:
        future, run = work
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(run())
            except BaseException as error:  # the waiting task gets it, whatever it is
                future.set_exception(error)
        del work, future, run  # they hold the model while the thread waits for the next


def _keep_to(cores: frozenset[int] | None) -> None:
    """Stay on `cores`, with the threads that this one starts, as torch does."""
    if not cores or sys.platform != "linux":
        return
    # Those of a container may have changed since they were counted: then any that there are.
    for choice in (cores, range(os.cpu_count() or 1)):
        with suppress(OSError):
            os.sched_setaffinity(0, choice)
            return


def _cancel_all(submitted: "SimpleQueue[_Work | None]") -> None:
    while not submitted.empty():
        with suppress(Empty):
            work = submitted.get_nowait()
            if work is not None:
                work[0].cancel()
