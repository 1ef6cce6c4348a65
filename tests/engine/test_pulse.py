"""For how long an engine's thread may be still."""

import threading

import pytest

from bot.engine.pulse import LEAST_SECONDS, TIMES_EXPECTED, UNKNOWN_SECONDS, Pulse


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pulse_after(*rounds: tuple[int | None, float]) -> Pulse:
    """A pulse that has seen rounds of so many tokens and seconds."""
    clock = Clock()
    pulse = Pulse(clock)
    pulse.wake()
    for num_tokens, seconds in rounds:
        pulse.tick(num_tokens)
        clock.now += seconds
    pulse.tick()
    return pulse


def patience(pulse: Pulse, num_tokens: int | None) -> float:
    pulse.tick(num_tokens)
    return pulse.patience_seconds


def test_a_round_like_which_none_was_seen_may_take_long() -> None:
    assert patience(pulse_after(), 1) == UNKNOWN_SECONDS
    assert patience(pulse_after(), None) == UNKNOWN_SECONDS
    assert patience(pulse_after((1, 0.05)), None) == UNKNOWN_SECONDS


def test_a_machine_whose_rounds_take_50_ms_is_given_5_seconds() -> None:
    assert patience(pulse_after((1, 0.05)), 1) == LEAST_SECONDS == 10.0
    assert patience(pulse_after((1, 0.05), (512, 0.4)), 16) == LEAST_SECONDS


def test_a_long_prompt_may_take_longer_than_a_word() -> None:
    pulse = pulse_after((1, 0.06), (200, 0.74))
    assert patience(pulse, 512) == pytest.approx(TIMES_EXPECTED * 512 * 0.74 / 200)
    assert patience(pulse_after((1, 0.06)), 512) == UNKNOWN_SECONDS


def test_a_slow_machine_gets_more_than_any_limit() -> None:
    assert patience(pulse_after((512, 30.0)), 1) == TIMES_EXPECTED * 30.0


def test_the_time_in_which_there_was_nothing_to_do_is_no_round() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    for _ in range(2):
        pulse.wake()
        pulse.tick(1)
        clock.now += 0.01
        pulse.idle()
        clock.now += 1000.0
    assert patience(pulse, 1) == LEAST_SECONDS


def test_a_pause_of_the_whole_bot_does_not_make_it_patient() -> None:
    pulse = pulse_after((1, 0.05), (1, 3600.0), (1, 0.05))
    assert patience(pulse, 1) == TIMES_EXPECTED * LEAST_SECONDS


def test_a_round_that_failed_says_nothing_of_how_fast_tokens_are() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    pulse.tick(512)
    clock.now += 0.001  # no memory, before anything was computed
    pulse.miss()
    pulse.tick()
    assert patience(pulse, 512) == UNKNOWN_SECONDS


def test_work_of_unknown_length_ticks_at_its_start_and_its_end() -> None:
    pulse = Pulse(Clock())
    with pulse.working():
        assert (pulse.is_working, pulse.num_ticks) == (True, 1)
    assert (pulse.is_working, pulse.num_ticks) == (False, 2)


def test_the_line_at_which_a_thread_hangs_is_told() -> None:
    pulse, hangs, goes_on = Pulse(), threading.Event(), threading.Event()
    assert pulse.where() == "(no thread)"

    def hang() -> None:
        pulse.tick()
        hangs.set()
        goes_on.wait(5)

    thread = threading.Thread(target=hang)
    thread.start()
    assert hangs.wait(5)
    assert "goes_on.wait(5)" in pulse.where()
    goes_on.set()
    thread.join()
    assert pulse.where() == "(no thread)"
