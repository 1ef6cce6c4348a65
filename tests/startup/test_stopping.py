"""How signals end the bot: several at once are one, a later one ends it at once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot.startup.stopping import SAME_SECONDS, Patience, heeded_signals

ROOT = Path(__file__).parent.parent.parent
PRINT_HEEDED = (
    "import signal, sys; signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1])); "
    "from bot.startup.stopping import heeded_signals; "
    "print(*(one.name for one in heeded_signals()))"
)


class Stopwatch:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 5000.0

    def __call__(self) -> float:
        return self.seconds


def test_signals_that_come_together_are_one_and_a_later_one_is_the_second() -> None:
    stopwatch = Stopwatch()
    patience = Patience(clock=stopwatch)
    assert not patience.is_over()
    for later in (0.0, 0.001, SAME_SECONDS / 2):
        stopwatch.seconds = 5000.0 + later
        assert not patience.is_over()
    stopwatch.seconds = 5000.0 + SAME_SECONDS
    assert patience.is_over()


def test_a_row_of_signals_does_not_put_the_second_one_off() -> None:
    stopwatch = Stopwatch()
    patience = Patience(clock=stopwatch)
    told = []
    for _ in range(4):
        told.append(patience.is_over())
        stopwatch.seconds += SAME_SECONDS * 0.5
    assert told == [False, False, True, True]


@pytest.mark.parametrize(
    ("before", "expected"),
    [("SIG_DFL", "SIGTERM SIGINT SIGHUP"), ("SIG_IGN", "SIGTERM SIGINT")],
)
def test_a_terminal_that_closes_ends_the_bot_unless_it_was_started_to_outlive_it(
    before: str, expected: str
) -> None:
    command = [sys.executable, "-c", PRINT_HEEDED, before]
    assert subprocess.check_output(command, cwd=ROOT, text=True).strip() == expected


def test_what_is_heeded_here_is_what_this_process_does_not_ignore() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in heeded_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert {signal.SIGTERM, signal.SIGINT} <= set(heeded_signals())
