"""The clocks of this machine: the time of day, which may be wrong, and seconds that pass."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time of the wall clock, in UTC."""
    return datetime.now(UTC)


def steady_seconds() -> float:
    """Seconds that never go back; on Linux they pass while the machine sleeps, too."""
    while_asleep = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if while_asleep is None else time.clock_gettime(while_asleep)
