"""Both sides of the edges at which the courier and the pace of a command decide."""

import pytest

from bot.delivery.ports import SendRefusedError
from bot.errors import DeadlineError, RefusedError
from cogs.privacy import Pace
from tests.cogs._discord.test_courier import crowd
from tests.cogs.desk import POST, Clock, Desk


@pytest.mark.parametrize(("seconds", "may_write"), [(599.875, False), (600.0, True)])
async def test_a_refusing_channel_is_left_alone_for_ten_minutes(
    desk: Desk, seconds: float, may_write: bool
) -> None:
    """10,000 refused requests in ten minutes ban the whole address."""
    desk.env.inject_error("POST", POST, status=403, code=50013)
    with pytest.raises(SendRefusedError):
        await desk.courier.send(desk.part())
    desk.clock.now += seconds
    assert desk.courier.may_write(desk.channel.id) is may_write


async def test_an_answer_is_looked_for_among_a_hundred_messages(desk: Desk) -> None:
    crowd(desk, 99)
    sent_id = await desk.courier.send(desk.part())
    assert await desk.courier.sent_parts(desk.said) == [sent_id]


@pytest.mark.parametrize(("num_others", "is_known"), [(99, True), (100, False)])
async def test_among_a_hundred_others_nothing_is_known(
    desk: Desk, num_others: int, is_known: bool
) -> None:
    crowd(desk, num_others)
    if is_known:
        assert await desk.courier.sent_parts(desk.said) == []
        return
    with pytest.raises(SendRefusedError):
        await desk.courier.sent_parts(desk.said)


@pytest.mark.parametrize(("seconds", "num_messages"), [(14.5, 2), (15.0, 1)])
async def test_a_whisper_stays_for_a_quarter_of_a_minute(
    desk: Desk, seconds: float, num_messages: int
) -> None:
    with desk.env._bot_scope():  # so that the simulated clock drives it
        await desk.courier.whisper(desk.said, DeadlineError())
    await desk.env.advance_time(seconds)
    assert len(desk.channel.history()) == num_messages


def test_a_member_may_do_it_again_when_the_time_is_over_and_not_before() -> None:
    clock = Clock()
    pace = Pace(60.0, clock)
    with pace.once(1):
        pass
    clock.now += 59.875
    with pytest.raises(RefusedError) as refused, pace.once(1):
        pass
    assert refused.value.values == {"seconds": 1}
    clock.now += 0.125
    with pace.once(1):
        pass
