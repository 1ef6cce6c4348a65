"""How signals end the bot: the first one gently, a second one at once."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

STOP_SECONDS = 9.5  # for everything: a supervisor sends SIGKILL after 10 or more
# A terminal tells every process of its group, and a starter hands on what it was told: within
# this time that is one signal.
SAME_SECONDS = 1.0


class Patience:
    """Whether a signal is the second one, which ends the bot at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first_at: float | None = None

    def is_over(self) -> bool:
        """Whether the signal that has just come is a second one."""
        now = self._clock()
        if self._first_at is None:
            self._first_at = now
        return now - self._first_at >= SAME_SECONDS


def heeded_signals() -> tuple[signal.Signals, ...]:
    """The signals that end the bot; a terminal's end is none for one that `nohup` started."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    hangup = () if is_ignored else (signal.SIGHUP,)
    return (signal.SIGTERM, signal.SIGINT, *hangup)


@contextmanager
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Let a signal set `stop` while the block runs; needs the running event loop."""
    loop = asyncio.get_running_loop()
    numbers = heeded_signals()
    patience = Patience()
    for number in numbers:
        loop.add_signal_handler(number, _on_signal, stop, patience)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            if stop.is_set():  # what was told once is not to end the interpreter's own closing
                signal.signal(number, signal.SIG_IGN)


def _on_signal(stop: asyncio.Event, patience: Patience) -> None:
    """Begin to stop; a second signal ends the bot at once."""
    if patience.is_over():
        end_now()
    if stop.is_set():
        return
    stop.set()
    end_soon()


def end_soon(exit_code: int = 0) -> None:
    """End this process in STOP_SECONDS, whatever hangs."""
    # A dead network, a long step of the model or a model that is still being loaded: nothing
    # of it may keep the bot from ending, and the interpreter waits for every other thread.
    limit = threading.Timer(STOP_SECONDS, end_now, (exit_code,))
    limit.daemon = True
    limit.start()


def end_now(exit_code: int = 0) -> None:
    """End this process, with whatever is still open."""
    logger.warning("Not everything could be closed; what is unanswered is left for the next start.")
    logging.shutdown()
    os._exit(exit_code)
