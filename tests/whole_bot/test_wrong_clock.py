"""A machine whose clock is ten minutes slow is killed after it sent: one reply, and a warning."""

from tests.discord_server.faults import Hold, When
from tests.whole_bot.home import Home

QUICK = {"MAX_NEW_TOKENS": "8"}


async def test_a_slow_clock_and_a_crash_after_the_send_bring_no_second_reply(home: Home) -> None:
    async with await home.start(QUICK) as bot:
        sends = f"/channels/{home.general.id}/messages"
        hold = home.server.faults.add("POST", sends, Hold(When.AFTER))
        message_id = home.say("hello")
        await home.server.wait_for(lambda: hold.hits > 0, timeout=30)
        await bot.kill()
    hold.release()
    # Now Discord remembers no nonce, and the clock of the machine says that it does.
    home.server.clock.advance(600)
    async with await home.start(QUICK) as bot:
        await home.talk("hello again")
        assert (await bot.terminate()).exit_code == 0
    answered = [
        reply.reference.message_id
        for reply in home.server.replies(home.general)
        if reply.reference is not None
    ]
    assert answered.count(message_id) == 1
    assert len(answered) == 2
    (warning,) = [one for one in bot.stderr.splitlines() if "clock of this machine" in one]
    assert "behind Discord's" in warning
