"""Who may take a place in the queue."""

import pytest

from bot.delivery.admission import NOTICE_SECONDS, Admission, AdmissionLimits
from bot.errors import AdmissionError


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def admission(
    clock: Clock, *, max_queue: int = 10, max_pending: int = 10, cooldown_seconds: float = 0.0
) -> Admission:
    return Admission(AdmissionLimits(max_queue, max_pending, cooldown_seconds), clock)


def test_a_member_cools_down_and_is_told_for_how_long() -> None:
    clock = Clock()
    gate = admission(clock, cooldown_seconds=5)
    gate.admit(1)
    clock.now += 2.5
    with pytest.raises(AdmissionError, match="again in 3 s"):
        gate.admit(1)
    clock.now += 2.5
    gate.admit(1)


def test_the_cooldown_of_one_member_does_not_hold_up_another() -> None:
    gate = admission(Clock(), cooldown_seconds=5)
    gate.admit(1)
    gate.admit(2)
    assert gate.num_pending == 2


def test_the_queue_is_bounded_for_all_members_together() -> None:
    gate = admission(Clock(), max_queue=2)
    gate.admit(1)
    gate.admit(2)
    with pytest.raises(AdmissionError, match="Too many people"):
        gate.admit(3)
    gate.release(1)
    gate.admit(3)


def test_the_queue_is_bounded_for_each_member() -> None:
    gate = admission(Clock(), max_pending=2)
    gate.admit(1)
    gate.admit(1)
    with pytest.raises(AdmissionError, match="your earlier messages"):
        gate.admit(1)
    gate.admit(2)


def test_a_refused_message_does_not_begin_a_cooldown() -> None:
    clock = Clock()
    gate = admission(clock, max_queue=1, cooldown_seconds=5)
    gate.admit(1)
    with pytest.raises(AdmissionError, match="Too many people"):
        gate.admit(2)
    gate.release(1)
    gate.admit(2)


def test_a_message_from_before_a_restart_takes_a_place_without_being_asked() -> None:
    gate = admission(Clock(), max_pending=1, cooldown_seconds=5)
    gate.readmit(1)
    with pytest.raises(AdmissionError, match="your earlier messages"):
        gate.admit(1)
    gate.release(1)
    gate.admit(1)


def test_a_member_is_told_once_in_half_a_minute() -> None:
    clock = Clock()
    gate = admission(clock)
    assert gate.may_notify(1)
    assert not gate.may_notify(1)
    assert gate.may_notify(2)
    clock.now += NOTICE_SECONDS - 1
    assert not gate.may_notify(1)
    clock.now += 1
    assert gate.may_notify(1)


@pytest.mark.parametrize(("seconds", "is_told"), [(29.875, False), (30.0, True)])
def test_a_member_is_told_again_after_half_a_minute_to_the_second(
    seconds: float, is_told: bool
) -> None:
    clock = Clock()
    gate = admission(clock)
    gate.may_notify(1)
    clock.now += seconds
    assert gate.may_notify(1) is is_told


@pytest.mark.parametrize(("seconds", "is_admitted"), [(4.875, False), (5.0, True)])
def test_a_cooldown_ends_with_its_last_second(seconds: float, is_admitted: bool) -> None:
    clock = Clock()
    gate = admission(clock, cooldown_seconds=5)
    gate.admit(1)
    clock.now += seconds
    if is_admitted:
        gate.admit(1)
        return
    with pytest.raises(AdmissionError, match="One moment") as refusal:
        gate.admit(1)
    assert refusal.value.values == {"seconds": 1}
