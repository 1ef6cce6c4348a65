"""What the log says of a start: what an operator needs, and no word and no secret."""

import re

import pytest

from tests.whole_bot.home import Home

pytestmark = pytest.mark.process


async def test_a_start_tells_where_everything_is(home: Home) -> None:
    bot = await home.start()
    await home.talk("a word that no log may hold")
    await bot.terminate()
    log = bot.stderr
    for told in (
        r"Invite me: https://discord\.com/oauth2/authorize\?\S*client_id=\d+",
        r"Ready: \S+ \(\d+\) in 1 servers?\.",
        r"Model loaded in [\d.]+ s: .*parameters, float32 on cpu, window of \d+ tokens\.",
        r"The database is data/banter\.db\.",
        r"The slash commands changed and were sent to Discord\.",
    ):
        assert re.search(told, log), told
    again = await home.start()
    await again.terminate()
    log = again.stderr  # of both starts
    assert "The slash commands are as Discord has them." in log
    assert home.server.token not in log
    assert "no log may hold" not in log
