"""A core of the processor for everything but the model, and the others for the model.

Linux may let a thread that wakes wait behind one that computes, though another core is idle, and
moves it some milliseconds later. An answer wakes some thirty times: see docs/adr/0021.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def divided_cores(num_threads: int | None) -> Iterator[frozenset[int] | None]:
    """Keep the calling thread, and the threads that it starts meanwhile, to one core.

    Yields the cores that are left for a model of `num_threads` threads (None: it takes as many as
    there are); None where nothing was divided, because it needs every core, or here is no Linux.
    """
    if sys.platform != "linux":
        yield None
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) <= (num_threads or 1):
        yield None
        return
    ours = cores[os.getpid() % len(cores)]  # several bots on a machine do not take the same one
    try:
        os.sched_setaffinity(0, {ours})
    except OSError:  # some sandboxes forbid it
        yield None
        return
    try:
        yield frozenset(cores) - {ours}
    finally:
        with suppress(OSError):  # the cores of a container may have changed meanwhile
            os.sched_setaffinity(0, cores)
