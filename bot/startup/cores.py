"""A core of the processor for everything but the model, and the others for the model.

Linux may let a thread that wakes wait behind one that computes, though another core is idle, and
moves it some milliseconds later. An answer wakes some thirty times: see docs/adr/0021.
"""

import logging
import os
import random
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

logger = logging.getLogger(__name__)


@contextmanager
def divided_cores(num_threads: int) -> Iterator[frozenset[int] | None]:
    """Keep all threads of this program, and those that they start meanwhile, to one core.

    Yields the cores that are left for a model of at least `num_threads` threads; None where
    nothing was divided, because it needs every core, or here is no Linux.
    """
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    if len(cores) <= num_threads:
        yield None
        return
    # by chance, so that several bots on a machine do not all take the same one
    ours = random.choice(cores)  # noqa: S311 - no secret
    try:
        _move_threads({ours})
    except OSError:  # some sandboxes forbid it
        yield None
        return
    logger.info("Core %d of %d is left to everything but the model.", ours, len(cores))
    try:
        yield frozenset(cores) - {ours}
    finally:
        with suppress(OSError):  # those of a container may have changed meanwhile
            _move_threads(cores)


def _move_threads(cores: Collection[int]) -> None:
    """Keep every thread of this program to `cores`. Raises OSError where that is forbidden."""
    for thread in threading.enumerate():
        with suppress(ProcessLookupError):  # it has just ended
            os.sched_setaffinity(thread.native_id or 0, cores)
