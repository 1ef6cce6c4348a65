"""What an outage counts as lost, and what as beyond a limit."""

from collections import Counter

from benchmarks.outages import MAX_PENDING, Outage, Outcome, Written, num_missing

ADA, BEN = 7, 8


def test_a_member_lacks_only_the_replies_that_the_limit_leaves_them() -> None:
    written = [Written(number, ADA) for number in range(MAX_PENDING + 2)] + [Written(99, BEN)]
    assert num_missing(Counter(), written) == MAX_PENDING + 1
    assert num_missing(Counter({0: 1, 1: 1, 4: 1, 99: 1}), written) == 0
    assert num_missing(Counter({0: 1, 99: 1}), written) == MAX_PENDING - 1


def test_the_share_is_of_what_was_within_the_limits() -> None:
    outcome = Outcome(Outage("killed", 10.0), 12, 2, 10, 0, 0, 4.2)
    assert outcome.row == "| killed, 10 s | 12 | 2 | 10 | 10 (100%) | 0 | 0 | 4 s |"
