import pytest

from training import pretrain
from training.budget import Budget, Schedule, parse_budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("60s", Budget(num_seconds=60)),
        ("5min", Budget(num_seconds=300)),
        ("5m", Budget(num_seconds=300)),
        ("1.5h", Budget(num_seconds=5400)),
        ("300k", Budget(num_tokens=300_000)),
        ("25M", Budget(num_tokens=25_000_000)),
    ],
)
def test_a_budget_is_seconds_or_tokens(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "60", "0s", "-5M", "5 M", "5d"])
def test_a_budget_without_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="budget"):
        parse_budget(text)


def test_the_rate_warms_up_stays_and_decays() -> None:
    schedule = Schedule(peak=1.0, warmup_steps=10, decay_share=0.5, final_share=0.1)
    assert schedule.rate(0, 0.0) == pytest.approx(0.1)
    assert schedule.rate(9, 0.0) == pytest.approx(1.0)
    assert schedule.rate(100, 0.5) == pytest.approx(1.0)
    assert 0.1 < schedule.rate(100, 0.75) < 1.0
    assert schedule.rate(100, 1.0) == pytest.approx(0.1)
    assert schedule.rate(100, 1.7) == pytest.approx(0.1)


def test_a_short_training_warms_up_within_a_tenth_of_it() -> None:
    assert Schedule(peak=1.0, warmup_steps=100).rate(3, 0.1) == pytest.approx(1.0)


def test_a_budget_that_is_none_is_told_with_what_it_may_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        pretrain.main(["--budget", "x"])
    assert "write seconds (60s, 5min, 2h) or tokens (300k, 25M)" in capsys.readouterr().err
